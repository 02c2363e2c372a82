//! Names of block devices by their numbers.

use std::collections::HashMap;
use std::fs;

use crate::table::Clean;

/// The names that were looked up. A number is given to another device seldom: kept for as long as
/// requests are followed.
#[derive(Default)]
pub(super) struct Devices(HashMap<u32, Clean>);

impl Devices {
    /// `nvme0n1`; `259:0` where sysfs does not know it. Of the kernel's own number: `major << 20 |
    /// minor`.
    pub fn name(&mut self, dev: u32) -> Clean {
        self.0.entry(dev).or_insert_with(|| read(dev)).clone()
    }
}

fn read(dev: u32) -> Clean {
    let number = format!("{}:{}", dev >> 20, dev & 0xf_ffff);
    let place = fs::read_link(format!("/sys/dev/block/{number}")).unwrap_or_default();
    match place.file_name().and_then(|n| n.to_str()) {
        // Where a name has a slash sysfs has an exclamation mark.
        Some(name) => Clean::from(name.replace('!', "/").as_str()),
        None => Clean::from(number.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_has_its_number() {
        let mut devices = Devices::default();
        assert_eq!(devices.name(0xfff << 20 | 77).as_str(), "4095:77");
    }

    #[test]
    fn one_that_is_there_has_its_name() {
        for disk in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let Ok(number) = fs::read_to_string(disk.path().join("dev")) else { continue };
            let (major, minor) = number.trim().split_once(':').unwrap();
            let dev = major.parse::<u32>().unwrap() << 20 | minor.parse::<u32>().unwrap();
            let name = disk.file_name().to_string_lossy().replace('!', "/");
            assert_eq!(Devices::default().name(dev).as_str(), name);
        }
    }
}
