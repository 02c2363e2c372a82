use lmptop::probe::{At, Probe, net};
fn cpu() -> (f64, f64) {
    let mut u: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut u) };
    let f = |t: libc::timeval| t.tv_sec as f64 * 1e3 + t.tv_usec as f64 / 1e3;
    (f(u.ru_utime), f(u.ru_stime))
}
#[test]
fn first() {
    let t = std::time::Instant::now();
    let mut n = net::Net::open(net::Options::default());
    println!("open {:?}", t.elapsed());
    for _ in 0..20 {
        let t = std::time::Instant::now();
        let a = cpu();
        let mut out = Vec::new();
        n.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out).unwrap();
        let b = cpu();
        println!(
            "{:?} user {:.2} sys {:.2} rows {} {}",
            t.elapsed(),
            b.0 - a.0,
            b.1 - a.1,
            out[0].len(),
            n.debug()
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
