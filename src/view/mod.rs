//! Draws a `&State` into a buffer. Pure: nothing here changes the state or asks the outside.
//!
//! ```text
//! lmptop web1  12:03:07  LIVE  rec 3.2M                     self 0.4% 23M  lost 0
//! cpu ▁▂▃▅ 12%  mem ▄▄▄▄ 34%  psi ▁▁▁▁ 0%  rx ▁▁▇▁ 12K/s  tx ▁▁▂▁ 3K/s  retr 0/s
//!  1 Connections  2 By process  3 Listeners  4 Events  5 Processes  34 of 1203 · rtt>50ms
//! COMM      PID  STATE   LOCAL            PEER             RATE▼  TX/s  RX/s    RTT
//! nginx     812  ESTAB   10.0.0.1:443     10.0.0.9:53122    1.2M  1.2M   12K  840us
//! ? help  q quit  Space freeze  / filter  ...
//! ```
//!
//! A tool's table has between tabs and titles how the tool fares and what its columns did:
//!
//! ```text
//!  1 Connections  ...  9 vmstat  10 Text  11 Tools                                  9 rows
//!  running · columns, 97 % · 12 rows
//! r      ▄▆█▄▆█▄▆█ 3         in      ▂▇▃▇▃█▄█▅ 1364
//! free   ██▇▆▅▅▄▃▂ 5005056   cs      ▂▇▃▇▃█▄█▅ 2618
//!        TIME▼  r  b  swpd    free   buff   cache  bi  bo   in   cs  us  sy  id
//! ```
//!
//! The pane of stacks draws itself: modes, how they are taken, totals over time, boxes, what is
//! selected:
//!
//! ```text
//!  on-CPU●  off-CPU   heap   I/O                                         1.98 CPUs
//! 99 Hz · last 60s · 11880 samples · sampled · whole machine · by process
//!       ▂▁█▂▅▂█▅▂▁█▂▅▂█▅▂▁█▂▅▂█▅▂▁█▂▅▂█▅▂▁█▂▅▂█▅▂▁█▂▅▂█▅▂▁█▂▅▂█▅ top 2.00 CPUs
//! ▏all
//! ▏nginx 812                                     ▏postgres 1003         ▏sshd 702
//! ▏main                                          ▏PostgresMain          ▏main
//! >ngx_worker_process_cycle                      ▏exec_simple_query      +3
//! ngx_worker_process_cycle  application nginx
//! total 71.3s 60% · self 1.2s 1.0% · 7060 ticks
//! ```

mod bar;
mod chart;
mod chooser;
mod compare;
mod detail;
mod fate;
mod footer;
mod header;
mod help;
mod image;
mod marks;
mod paint;
mod rows;
mod screen;
pub mod sign;
pub mod sparkline;
mod stack;
mod strip;
pub mod svg;
pub mod theme;
pub mod timeline;

pub use screen::{draw, most_scroll};
