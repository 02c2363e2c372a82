//! All entries of a kernel hash, read where they lie in one buffer: the sums of thousands of threads
//! are read once a second, and a vector of its own for each key and each value would cost as much
//! as reading them.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use libbpf_rs::{MapCore, libbpf_sys};

/// Entries read at a time: with the largest values a buffer that stays below what is mapped anew
/// each time (`memory::LARGE`).
const BATCH: usize = 256;

/// Hands over every key and value of a hash; what comes or goes meanwhile is there or not. Both
/// types are integers in structs, as large as the map's. Linux 5.6.
pub fn entries<K: Copy, V: Copy>(map: &impl MapCore, mut each: impl FnMut(&K, &V)) {
    if map.key_size() as usize != size_of::<K>() || map.value_size() as usize != size_of::<V>() {
        return;
    }
    let mut keys: Vec<K> = Vec::with_capacity(BATCH);
    let mut values: Vec<V> = Vec::with_capacity(BATCH);
    // Where to go on is told as a key, or as a number of 4 bytes where keys are shorter.
    let mut places = [vec![0u8; size_of::<K>().max(4)], vec![0u8; size_of::<K>().max(4)]];
    let mut is_first = true;
    loop {
        let [from, to] = &mut places;
        let from = if is_first { ptr::null_mut() } else { from.as_mut_ptr() };
        let mut count = BATCH as u32;
        // SAFETY: the kernel writes at most `count` keys and values of these sizes (checked above)
        // into vectors with room for as many, and one place into `to`; all outlive the call.
        let done = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                map.as_fd().as_raw_fd(),
                from.cast(),
                to.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                ptr::null(),
            )
        };
        // With the last entries comes that there are no more.
        let is_last = done != 0;
        match io::Error::from_raw_os_error(-done).kind() {
            io::ErrorKind::Interrupted => continue,
            io::ErrorKind::NotFound => {}
            _ if is_last => return,
            _ => {}
        }
        let count = (count as usize).min(BATCH);
        // SAFETY: the kernel has written so many, which is not more than there is room for; any
        // bytes are a valid value of types of integers.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        keys.iter().zip(&values).for_each(|(key, value)| each(key, value));
        if is_last {
            return;
        }
        places.swap(0, 1);
        is_first = false;
    }
}
