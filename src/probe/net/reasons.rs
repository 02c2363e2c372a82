//! Names of drop and reset reasons, from the running kernel's own type information.
//!
//! The numbers mean something else in every kernel version, so there is no table here.

use std::collections::HashMap;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Enum;

use crate::table::Clean;

/// Reasons by number.
#[derive(Default)]
pub(super) struct Reasons {
    drop: HashMap<u32, Clean>,
    reset: HashMap<u32, Clean>,
    subsystem: HashMap<u32, Clean>,
}

impl Reasons {
    /// Reads them; without type information every reason keeps its number.
    pub fn read() -> Reasons {
        let Ok(btf) = Btf::from_vmlinux() else { return Reasons::default() };
        Reasons {
            drop: names(&btf, "skb_drop_reason", "SKB_DROP_REASON_"),
            reset: names(&btf, "sk_rst_reason", "SK_RST_REASON_"),
            subsystem: names(&btf, "skb_drop_reason_subsys", "SKB_DROP_REASON_SUBSYS_"),
        }
    }

    /// Why a packet was dropped; missing where the kernel does not say.
    pub fn drop(&self, reason: u32) -> Option<Clean> {
        if reason == u32::MAX {
            return None;
        }
        if let Some(name) = self.drop.get(&reason) {
            return Some(name.clone());
        }
        // The upper half names a subsystem, whose reasons a module keeps to itself.
        let own = reason & 0xffff;
        Some(match self.subsystem.get(&(reason >> 16)).filter(|_| reason >> 16 != 0) {
            Some(subsystem) => Clean::from(format!("{subsystem} {own}").as_str()),
            None => Clean::from(reason.to_string().as_str()),
        })
    }

    /// Why a reset was sent; missing where the kernel does not say.
    pub fn reset(&self, reason: u32) -> Option<Clean> {
        (reason != u32::MAX).then(|| match self.reset.get(&reason) {
            Some(name) => name.clone(),
            None => Clean::from(reason.to_string().as_str()),
        })
    }
}

fn names(btf: &Btf<'_>, name: &str, prefix: &str) -> HashMap<u32, Clean> {
    let Some(list) = btf.type_by_name::<Enum<'_>>(name) else { return HashMap::new() };
    list.iter()
        .filter_map(|member| {
            let name = member.name?.to_string_lossy();
            let short = name.strip_prefix(prefix).unwrap_or(&name);
            Some((member.value as u32, Clean::from(short)))
        })
        .collect()
}
