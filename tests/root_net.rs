use lmptop::probe::{At, Probe, net};
use std::io::{Read, Write};
#[test]
fn first() {
    let t = std::time::Instant::now();
    let mut n = net::Net::open(net::Options::default());
    println!("open {:?}", t.elapsed());
    let mut out = Vec::new();
    n.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out).unwrap();
    let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let a = l.local_addr().unwrap();
    let mut c = std::net::TcpStream::connect(a).unwrap();
    let mut s = l.accept().unwrap().0;
    c.write_all(&[0; 70000]).unwrap();
    let mut b = vec![0; 70000];
    s.read_exact(&mut b).unwrap();
    s.write_all(b"abc").unwrap();
    c.read_exact(&mut b[..3]).unwrap();
    drop(c);
    drop(s);
    drop(l);
    std::net::TcpStream::connect(a).unwrap_err();
    let u = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    u.send_to(b"x", a).unwrap();
    let mut out = Vec::new();
    n.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out).unwrap();
    for t in &out[1..] {
        println!("== {}", t.name());
        for r in 0..t.len().min(40) {
            for f in t.schema().stored() {
                if !t.get(r, &f.id).as_f64().is_none() || format!("{:?}", t.get(r, &f.id)) != "None"
                {
                    print!("{}={:?} ", f.id, t.get(r, &f.id));
                }
            }
            println!();
        }
    }
}
