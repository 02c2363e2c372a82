use lmptop::probe::{At, Probe, net};
#[test]
fn first() {
    let t = std::time::Instant::now();
    let mut n = net::Net::open(net::Options::default());
    println!("open {:?}", t.elapsed());
    for _ in 0..20 {
        let t = std::time::Instant::now();
        let mut out = Vec::new();
        n.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out).unwrap();
        println!("{:?} rows {}", t.elapsed(), out[0].len());
        if out[0].len() < 20 {
            for r in 0..out[0].len() {
                for f in out[0].schema().stored() {
                    print!("{}={:?} ", f.id, out[0].get(r, &f.id));
                }
                println!();
            }
        }
    }
}
