//! The pane of stacks: a small machine whose every stack is known, at each size and in each look.

use lmptop::app::stack::{Kind, View};
use lmptop::app::{Effect, Mode, Mouse, MouseKind, Msg};
use lmptop::session::{Reader, Writer};
use lmptop::source::{Heap, Scope};
use lmptop::table::Sample;
use lmptop::view::theme::{Glyphs, Palette, Theme};

use super::scene::*;

macro_rules! shot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const MS: u64 = 1_000_000;
/// A tick of the clock at 99 Hz, ns.
const TICK: u64 = 1_000_000_000 / 99;

/// A stack: process, thread, name, ticks a second, names and files.
type Burner = (u64, u64, &'static str, u64, &'static str, &'static str);

const BURNERS: &[Burner] = &[
    (
        812,
        812,
        "nginx",
        30,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_http_process_request;SSL_write;tls_write_records_default;EVP_CipherUpdate;aesni_gcm_encrypt",
        "nginx;;;;;libssl.so.3;;libcrypto.so.3;",
    ),
    (
        812,
        812,
        "nginx",
        14,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_http_process_request;SSL_write;tls_write_records_default;write;entry_SYSCALL_64;do_syscall_64;ksys_write;sock_write_iter;tcp_sendmsg;tcp_sendmsg_locked;skb_copy_to_page_nocache",
        "nginx;;;;;libssl.so.3;;libc.so.6;[kernel];;;;;;",
    ),
    (
        812,
        812,
        "nginx",
        3,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;epoll_wait;entry_SYSCALL_64;do_syscall_64;do_epoll_wait;ep_poll",
        "nginx;;;;libc.so.6;[kernel];;;",
    ),
    (
        812,
        812,
        "nginx",
        1,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_time_update",
        "nginx;;;;",
    ),
    (
        4410,
        4412,
        "C2 CompilerThre",
        8,
        "start_thread;thread_native_entry;CompileBroker::compiler_thread_loop;Compile::Optimize;PhaseIdealLoop::build_and_optimize<LoopOptsMode::LoopOptsDefault>",
        "libc.so.6;libjvm.so;;;",
    ),
    (
        4410,
        4410,
        "java",
        22,
        "main;JavaMain;JavaCalls::call_helper;Lcom/shop/Cart::total;Lcom/shop/Price::of;Ljava/math/BigDecimal::add",
        "java;libjli.so;libjvm.so;[jit];;~[jit]",
    ),
    (991, 991, "sort", 5, "main;sort;compare_strings;inlined_fold", "sort;;;~sort"),
    (991, 991, "sort", 2, "main;sort;sort;sort;compare_strings", "sort;;;;"),
    (
        17,
        17,
        "kworker/0:1",
        2,
        "ret_from_fork;kthread;worker_thread;process_one_work",
        "[kernel];;;",
    ),
];

fn oncpu(age: u64) -> Vec<Row> {
    let ticks = |b: &Burner| match (b.2, age) {
        // After a while it takes another way, and more of an old one.
        ("java", 10..) => b.3 * 2,
        ("sort", 10..) => 0,
        _ => b.3,
    };
    let mut all: Vec<Row> =
        BURNERS.iter().map(|b| (b, ticks(b))).filter(|b| b.1 > 0).map(row).collect();
    if age >= 10 {
        let stack =
            "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_http_gzip_filter;deflate";
        let new = (812, 812, "nginx", 0, stack, "nginx;;;;;libz.so.1");
        all.push(row((&new, 12)));
    }
    all
}

fn row((b, ticks): (&Burner, u64)) -> Row {
    Row::default()
        .set("pid", b.0)
        .set("tid", b.1)
        .set("comm", b.2)
        .set("state", "running")
        .set("count", ticks)
        .set("value_ns", ticks * TICK)
        .set("samples", ticks)
        .set("stack", b.4)
        .set("modules", b.5)
        .set("cgroup", if b.0 == 17 { "/" } else { "/system.slice/web.service" })
}

fn offcpu() -> Vec<Row> {
    let wait =
        |pid: u64, comm: &str, state: &str, call: &str, ms: u64, stack: &str, modules: &str| {
            let row = Row::default()
                .set("pid", pid)
                .set("tid", pid)
                .set("comm", comm)
                .set("state", state)
                .set("count", 4)
                .set("value_ns", ms * MS)
                .set("samples", 2)
                .set("stack", stack)
                .set("modules", modules);
            if call.is_empty() { row } else { row.set("syscall", call) }
        };
    vec![
        wait(
            812,
            "nginx",
            "poll",
            "epoll_wait",
            930,
            "main;epoll_wait;do_epoll_wait;schedule",
            "nginx;libc.so.6;[kernel];",
        )
        .set("idle", "yes"),
        wait(
            4410,
            "java",
            "lock",
            "futex",
            420,
            "main;pthread_mutex_lock;futex_wait;schedule",
            "java;libc.so.6;[kernel];",
        ),
        wait(
            4410,
            "java",
            "io",
            "read",
            150,
            "main;read;vfs_read;io_schedule",
            "java;libc.so.6;[kernel];",
        ),
        wait(991, "sort", "runnable", "", 90, "main;sort", "sort;"),
        wait(991, "sort", "preempted", "", 40, "main;sort", "sort;"),
    ]
}

fn sampled(age: u64) -> Sample {
    let mut sample = sample(age);
    sample.tables.retain(|t| t.name() != "oncpu");
    sample.tables.push(table("oncpu", &oncpu(age)));
    sample
}

fn both(age: u64) -> Sample {
    let mut sample = sampled(age);
    sample.tables.push(table("offcpu", &offcpu()));
    sample
}

/// A live screen that has entered the pane and got these samples.
fn stage(w: u16, h: u16, n: u64) -> Stage {
    let mut stage = Stage::new(w, h);
    stage.live([sample(0)]);
    stage.press("8");
    stage.live((1..=n).map(both));
    stage
}

fn focus(effects: &[Effect]) -> Option<lmptop::source::Stacks> {
    effects.iter().rev().find_map(|e| match e {
        Effect::Focus(f) => Some(f.stacks.clone()),
        _ => None,
    })
}

const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (120, 40)];

#[test]
fn views() {
    for (w, h) in SIZES {
        for (name, keys) in [
            ("graph", ""),
            ("flame", "i"),
            ("table", "v"),
            ("sandwich", "/^SSL_write$/<Enter>nvv"),
            ("inverted", "ra"),
            ("zoomed", "/ssl_write<Enter>n<Enter>"),
        ] {
            let mut s = stage(w, h, 6);
            let keys = if name == "sandwich" { "//SSL_write/<Enter>nvv" } else { keys };
            s.press(keys);
            shot!(format!("stacks_{name}_{w}x{h}"), s.text());
        }
    }
    shot!("stacks_graph_240x70", stage(240, 70, 6).text());
}

#[test]
fn a_diff_of_two_times() {
    for (w, h) in SIZES {
        let mut s = stage(w, h, 9);
        s.press("m");
        s.live((10..=14).map(both));
        s.press("[[d");
        shot!(format!("stacks_diff_{w}x{h}"), s.text());
        s.press("v");
        shot!(format!("stacks_diff_table_{w}x{h}"), s.text());
    }
}
