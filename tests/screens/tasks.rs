//! The process room on screen: its panes at each size, the tree, what is asked of the outside.

use super::folk;
use super::scene::*;

macro_rules! shot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (240, 70)];

/// A screen on the machine with states accounted.
fn busy(width: u16, height: u16) -> Stage {
    let mut stage = Stage::new(width, height);
    stage.live((0..6).map(folk::busy));
    stage
}

#[test]
fn panes() {
    for (name, keys) in [("proc", "5"), ("thread", "6"), ("life", "7")] {
        for (w, h) in SIZES {
            let mut stage = Stage::running(w, h, 6);
            stage.press(keys);
            shot!(format!("{name}_{w}x{h}"), stage.text());
        }
    }
}

#[test]
fn panes_with_states() {
    for (name, keys) in [("proc", "5"), ("thread", "6"), ("wake", "8"), ("lock", "9")] {
        for (w, h) in [(80, 24), (120, 30), (240, 40)] {
            let mut stage = busy(w, h);
            stage.press(keys);
            shot!(format!("{name}_states_{w}x{h}"), stage.text());
        }
    }
    let mut stage = busy(120, 20);
    stage.press("9<Tab>");
    shot!("syscall_120x20", stage.text());
}
