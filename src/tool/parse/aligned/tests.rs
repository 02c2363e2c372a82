//! Small outputs of real shape and the rows in them.

use crate::tool::parse::trail::Trail;
use crate::tool::parse::{Format, Hint, Mode, Parser};

/// All that is given for a whole output.
fn whole(text: &str) -> Vec<String> {
    told(text, Hint::default())
}

fn told(text: &str, hint: Hint) -> Vec<String> {
    let mut trail = Trail::default();
    let mut parser = Parser::new(hint);
    parser.feed(text.as_bytes(), &mut trail);
    parser.finish(&mut trail);
    trail.lines
}

/// Headings and rows only.
fn rows(text: &str) -> Vec<String> {
    let keep = |l: &String| l.starts_with('#') || l.starts_with(|c: char| c.is_ascii_digit());
    whole(text).into_iter().filter(keep).collect()
}

/// A pause behind each line.
fn slowly(text: &str) -> Vec<String> {
    let mut trail = Trail::default();
    let mut parser = Parser::new(Hint::default());
    for line in text.split_inclusive('\n') {
        parser.feed(line.as_bytes(), &mut trail);
        parser.quiet(&mut trail);
    }
    parser.finish(&mut trail);
    trail.lines
}

const VFSSTAT: &str = "\
TIME         READ/s  WRITE/s CREATE/s   OPEN/s  FSYNC/s
21:07:20:      1368      105        0       61        0
21:07:21:       136      107        0       59        0
";

const MPSTAT: &str = "\
Linux 6.18.5 (host) \t11/21/26 \t_x86_64_\t(2 CPU)

13:00:01     CPU    %usr   %nice
13:00:02     all    0.50    0.00
13:00:02       0    1.00    0.00

13:00:02     CPU    %usr   %nice
13:00:03     all    0.60    0.00
13:00:03       0    1.20    0.00

Average:     CPU    %usr   %nice
Average:     all    0.55    0.00
Average:       0    1.10    0.00
";

const IOSTAT: &str = "\
avg-cpu:  %user   %nice %system
           0.50    0.00    0.25

Device             tps    kB_read/s
vda               1.00         4.00
vdb               2.00         8.00

avg-cpu:  %user   %nice %system
           1.50    0.00    0.75

Device             tps    kB_read/s
vda              10.00       400.00
vdb               0.00         0.00
";

const OPENSNOOP: &str = "\
PID    COMM              FD ERR PATH
1201   tmux: server       3   0 /etc/ld.so.cache
1202   bash              -1   2 /a file
Possibly lost 3 samples
1202   bash               4   0 /proc/1/stat
";

const DOCKER: &str = "\
CONTAINER ID   IMAGE        COMMAND                  CREATED         STATUS         PORTS     NAMES
4c01db0b339c   nginx:1.25   \"/docker-entrypoint.…\"   3 minutes ago   Up 3 minutes   80/tcp    web
d7886598dbe2   redis:7      \"docker-entrypoint.s…\"   2 hours ago     Up 2 hours               cache
";

#[test]
fn a_header_and_rows_over_time() {
    assert_eq!(
        whole(VFSSTAT),
        [
            "#0 append TIME|READ/s|WRITE/s|CREATE/s|OPEN/s|FSYNC/s",
            "0: 21:07:20:|1368|105|0|61|0",
            "0: 21:07:21:|136|107|0|59|0",
        ]
    );
}

#[test]
fn blocks_behind_clocks_are_snapshots_and_averages_are_no_rows() {
    assert_eq!(
        whole(MPSTAT),
        [
            "Noise Linux 6.18.5 (host) \t11/21/26 \t_x86_64_\t(2 CPU)",
            "#0 snapshot Time|CPU|%usr|%nice",
            "0: 13:00:02|all|0.50|0.00",
            "0: 13:00:02|0|1.00|0.00",
            "end 0",
            "0: 13:00:03|all|0.60|0.00",
            "0: 13:00:03|0|1.20|0.00",
            "end 0",
            "Noise Average:     all    0.55    0.00",
            "Noise Average:       0    1.10    0.00",
        ]
    );
}

#[test]
fn several_tables_a_block() {
    assert_eq!(
        whole(IOSTAT),
        [
            "#0 snapshot %user|%nice|%system",
            "0: 0.50|0.00|0.25",
            "end 0",
            "#1 Device snapshot Device|tps|kB_read/s",
            "1: vda|1.00|4.00",
            "1: vdb|2.00|8.00",
            "end 1",
            "0: 1.50|0.00|0.75",
            "end 0",
            "1: vda|10.00|400.00",
            "1: vdb|0.00|0.00",
            "end 1",
        ]
    );
}

#[test]
fn blanks_in_cells_and_noise_between_rows() {
    assert_eq!(
        whole(OPENSNOOP),
        [
            "#0 append PID|COMM|FD|ERR|PATH",
            "0: 1201|tmux: server|3|0|/etc/ld.so.cache",
            "0: 1202|bash|-1|2|/a file",
            "Noise Possibly lost 3 samples",
            "0: 1202|bash|4|0|/proc/1/stat",
        ]
    );
}

#[test]
fn names_and_cells_of_several_words_and_empty_ones() {
    assert_eq!(
        rows(DOCKER),
        [
            "#0 snapshot CONTAINER ID|IMAGE|COMMAND|CREATED|STATUS|PORTS|NAMES",
            "0: 4c01db0b339c|nginx:1.25|\"/docker-entrypoint.…\"|3 minutes ago|Up 3 minutes|80/tcp|web",
            "0: d7886598dbe2|redis:7|\"docker-entrypoint.s…\"|2 hours ago|Up 2 hours|-|cache",
        ]
    );
}

#[test]
fn groups_above_tell_equal_names_apart() {
    let text = "\
disk- ------------reads------------ ------------writes-----------
       total merged sectors      ms  total merged sectors      ms
vda   248147   8860  826649     627   8114   3733    1938     950
vdb        0      0       0       0      0      0       0       0
";
    assert_eq!(
        rows(text),
        [
            "#0 snapshot disk|reads total|reads merged|reads sectors|reads ms|writes total|writes \
             merged|writes sectors|writes ms",
            "0: vda|248147|8860|826649|627|8114|3733|1938|950",
            "0: vdb|0|0|0|0|0|0|0|0",
        ]
    );
}

#[test]
fn units_and_dashes_below_the_header() {
    let mut trail = Trail::default();
    let mut parser = Parser::new(Hint::default());
    let text = "\
# gpu    pwr  gtemp     sm
# Idx      W      C      %
    0     43     50      1
    1     44      -      0
    0     42     49      2
    1     43      -      0
";
    parser.feed(text.as_bytes(), &mut trail);
    parser.finish(&mut trail);
    assert_eq!(trail.lines[1..3], ["0: 0|43|50|1", "0: 1|44|-|0"]);
    let units: Vec<_> = trail.headings[0].titles.iter().map(|t| t.unit.as_deref()).collect();
    assert_eq!(units, [Some("Idx"), Some("W"), Some("C"), Some("%")]);

    let text = "
           time    cpu  task name                       wait time  sch delay
                        [tid/pid]                          (msec)     (msec)
--------------- ------  ------------------------------  ---------  ---------
   79371.874569 [0011]  gcc[31949]                          0.014      0.000
   79371.874603 [0010]  my prog/10[59]                      3.350      0.004
";
    assert_eq!(
        rows(text),
        [
            "#0 append time|cpu|task name|wait time|sch delay",
            "0: 79371.874569|[0011]|gcc[31949]|0.014|0.000",
            "0: 79371.874603|[0010]|my prog/10[59]|3.350|0.004",
        ]
    );
}

#[test]
fn row_labels_without_a_name() {
    let text = "
               total        used        free      shared
Mem:        24684096      741184    18945192        8788
Swap:              0           0           0
";
    assert_eq!(
        rows(text),
        [
            "#0 snapshot label|total|used|free|shared",
            "0: Mem:|24684096|741184|18945192|8788",
            "0: Swap:|0|0|0|-",
        ]
    );
}

#[test]
fn wide_cells_push_the_rest_aside() {
    let text = "\
procs -----------memory---------- ---swap-- -----io----
 r  b   swpd   free   buff  cache   si   so    bi    bo
 1  0      0 18902068  29784 5359096    0    0  1604  3761
 2  0      0 18902068  29784 5359096    0    0     0     0
";
    assert_eq!(
        rows(text),
        [
            "#0 append r|b|swpd|free|buff|cache|si|so|bi|bo",
            "0: 1|0|0|18902068|29784|5359096|0|0|1604|3761",
            "0: 2|0|0|18902068|29784|5359096|0|0|0|0",
        ]
    );
}

#[test]
fn columns_stand_in_columns_of_the_screen() {
    let text = "\
名前          DELAY  COUNT
日本語の名     12µs      3
abc            4µs     10
";
    assert_eq!(
        rows(text),
        ["#0 snapshot 名前|DELAY|COUNT", "0: 日本語の名|12µs|3", "0: abc|4µs|10"]
    );
}

#[test]
fn a_row_takes_the_place_of_the_one_with_its_key() {
    let text = "\
NAME      READY   STATUS              RESTARTS      AGE
web-1     0/1     Pending             0             0s
web-1     0/1     ContainerCreating   0             1s
db-0      1/1     Running             1 (5m ago)    3d2h
web-1     1/1     Running             0             4s
";
    let found = whole(text);
    assert_eq!(found[0], "#0 replace NAME|READY|STATUS|RESTARTS|AGE");
    assert_eq!(found[3], "0: db-0|1/1|Running|1 (5m ago)|3d2h");
    assert_eq!(found.len(), 5);
}

#[test]
fn continued_lines_are_no_rows() {
    let text = "\
State      Recv-Q Send-Q Local Address:Port  Peer Address:Port Process
ESTAB      0      0          127.0.0.1:8443     127.0.0.1:60696
\t bbr wscale:10,10 rto:204 rtt:0.017/0.008 ato:40 mss:32768
FIN-WAIT-2 0      0          127.0.0.1:8443     127.0.0.1:60718
\t bbr wscale:10,10 rto:204 rtt:0.017/0.008 ato:40 mss:32768
";
    assert_eq!(
        rows(text),
        [
            "#0 snapshot State|Recv-Q|Send-Q|Local Address:Port|Peer Address:Port|Process",
            "0: ESTAB|0|0|127.0.0.1:8443|127.0.0.1:60696|-",
            "0: FIN-WAIT-2|0|0|127.0.0.1:8443|127.0.0.1:60718|-",
        ]
    );
}

#[test]
fn other_names_midway_are_another_table() {
    let text = "\
PID    COMM         LADDR               RX_KB
16648  nc           100.66.3.172:22         1
16647  sshd         100.66.3.172:22         0

PID    COMM         LADDR6              RX_KB
17845  nc           fe80::1:22              1

PID    COMM         LADDR               RX_KB
16647  sshd         100.66.3.172:22         7
";
    assert_eq!(
        rows(text),
        [
            "#0 snapshot PID|COMM|LADDR|RX_KB",
            "0: 16648|nc|100.66.3.172:22|1",
            "0: 16647|sshd|100.66.3.172:22|0",
            "#1 LADDR6 snapshot PID|COMM|LADDR6|RX_KB",
            "1: 17845|nc|fe80::1:22|1",
            "0: 16647|sshd|100.66.3.172:22|7",
        ]
    );
}

#[test]
fn a_clock_above_a_block_is_told() {
    let text = "\
11/21/26 13:00:01
Device             tps    kB_read/s
vda               1.00         4.00

11/21/26 13:00:02
Device             tps    kB_read/s
vda               2.00         5.00
";
    let found = whole(text);
    assert_eq!(found[0], "clock 11/21/26 13:00:01");
    assert!(found.contains(&"clock 11/21/26 13:00:02".to_owned()), "{found:?}");
}

#[test]
fn text_has_no_rows() {
    for text in [
        " 13:41:12 up  3:35,  0 user,  load average: 1.53, 3.27, 1.99\n",
        "The quick brown fox\njumps over 12 lazy dogs\nand comes home at 9\n",
        "root     pts/0        2026-11-21 10:00 (10.0.0.5)\nanna     tty1         2026-11-21 09:13\n",
        "2026-11-21 10:00:01 INFO starting worker 1\n2026-11-21 10:00:02 WARN queue full 12 items\n",
        "Ip:\n    Forwarding: 2\n    15611442 total packets received\n    0 forwarded\n",
        "    RX:  bytes  packets errors\n    8149794057 15605720      0\n",
        "PID   COMM\n",
        "\n\n\n",
        "total 12\ndrwxr-xr-x 2 root root 4096 May  9  2025 boot\n",
    ] {
        assert_eq!(rows(text), [""; 0], "{text}");
    }
}

#[test]
fn any_cut_gives_the_same() {
    for text in [VFSSTAT, MPSTAT, IOSTAT, OPENSNOOP, DOCKER] {
        let all = whole(text);
        for size in [1, 2, 7, 64] {
            let mut trail = Trail::default();
            let mut parser = Parser::new(Hint::default());
            for part in text.as_bytes().chunks(size) {
                parser.feed(part, &mut trail);
            }
            parser.finish(&mut trail);
            assert_eq!(trail.lines, all, "cut into {size}");
        }
    }
}

#[test]
fn a_slow_tool_has_the_same_rows() {
    let is_row = |l: &String| l.starts_with(|c: char| c.is_ascii_digit());
    for text in [VFSSTAT, MPSTAT, IOSTAT, OPENSNOOP] {
        let quick: Vec<String> = whole(text).into_iter().filter(is_row).collect();
        let slow: Vec<String> = slowly(text).into_iter().filter(is_row).collect();
        assert_eq!(slow, quick);
    }
}

#[test]
fn a_later_row_shows_the_columns_better() {
    let found = slowly(
        "\
OBJS ACTIVE  USE OBJ SIZE NAME
  10     10 100%    0.10K buffer_head
1000    900  90%    1.00K dentry
",
    );
    let heading = found.iter().rev().find(|l| l.starts_with('#')).unwrap();
    assert!(heading.ends_with("OBJS|ACTIVE|USE|OBJ SIZE|NAME"), "{found:?}");
    assert!(found.contains(&"0: 1000|900|90%|1.00K|dentry".to_owned()), "{found:?}");
}

#[test]
fn endless_lines_of_another_shape_are_let_go() {
    let mut trail = Trail::default();
    let mut parser = Parser::new(Hint::default());
    parser.feed(VFSSTAT.as_bytes(), &mut trail);
    parser.quiet(&mut trail);
    for i in 0..5000 {
        parser.feed(format!("some words of a line, number {i}\n").as_bytes(), &mut trail);
    }
    let aside = trail.lines.iter().filter(|l| l.starts_with("Noise")).count();
    assert!(aside >= 3000, "{aside} of {:?}", trail.lines.iter().take(9).collect::<Vec<_>>());
    parser.finish(&mut trail);
    assert_eq!(trail.lines.iter().filter(|l| l.starts_with("Noise")).count(), 5000);
}

#[test]
fn what_the_user_said_holds() {
    let hint = Hint {
        key: vec!["OPEN/s".to_owned()],
        mode: Some(Mode::Snapshot),
        time: Some("TIME".to_owned()),
        ..Hint::default()
    };
    let found = told(VFSSTAT, hint);
    assert_eq!(found[0], "#0 snapshot TIME|READ/s|WRITE/s|CREATE/s|OPEN/s|FSYNC/s");
    assert_eq!(found.last().unwrap(), "end 0");

    let names = ["when", "what"].map(str::to_owned).to_vec();
    let hint = Hint { format: Some(Format::Columns(names)), ..Hint::default() };
    assert_eq!(told("1 a b\n2\n", hint), ["#0 append when|what", "0: 1|a b", "Noise 2"]);

    let hint = Hint { format: Some(Format::Text), ..Hint::default() };
    assert_eq!(told("A B\n1 2\n", hint), ["#0 append text", "0: A B", "0: 1 2"]);
}

#[test]
fn tables_that_begin_alike_are_called_by_what_is_new() {
    let text = "\
13:00:01      UID       PID    %usr   Command
13:00:02        0         1    0.50   init
13:00:02        0        22    1.00   sshd

13:00:01      UID       PID  minflt/s   Command
13:00:02        0         1      0.50   init
13:00:02        0        22      1.00   sshd

13:00:01      UID       PID   kB_rd/s   Command
13:00:02        0         1      0.50   init
13:00:02        0        22      1.00   sshd

";
    let got: Vec<String> = whole(text).into_iter().filter(|l| l.starts_with('#')).collect();
    let want = [
        "#0 append Time|UID|PID|%usr|Command",
        "#1 minflt/s append Time|UID|PID|minflt/s|Command",
        "#2 kB_rd/s append Time|UID|PID|kB_rd/s|Command",
    ];
    assert_eq!(got, want);
}

#[test]
fn a_warning_behind_the_first_row_is_none() {
    let text =
        "PID  COMM      LAT(us)\n1    bash           10\nlost 3 events\n2    bash           20\n";
    let got: Vec<String> = slowly(text).into_iter().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(got, ["0: 1|bash|10", "Noise lost 3 events", "0: 2|bash|20"]);
}
