//! What a tool finds in its environment: colours, pagers and decimal commas off, lines at once.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::tool::spec::Panel;

/// Where a configured panel's programs are looked for, whatever lmptop's own `PATH` says.
pub const PANEL_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The same for every tool. `TERM=dumb` stops those that look for a terminal's abilities (dstat,
/// ls, grep), `NO_COLOR` most newer ones, and sysstat, systemd and BSD tools have their own words.
/// `COLUMNS` is what procps asks where there is no terminal. Python holds output back even where
/// C's stdio does not, so it is told not to. Numbers have a point, never a comma.
const ALWAYS: &[(&str, &str)] = &[
    ("CLICOLOR", "0"),
    ("COLUMNS", "1000"),
    ("GIT_PAGER", "cat"),
    ("LC_NUMERIC", "C"),
    ("LINES", "1000"),
    ("NO_COLOR", "1"),
    ("PAGER", "cat"),
    ("PYTHONUNBUFFERED", "1"),
    ("SYSTEMD_COLORS", "0"),
    ("SYSTEMD_PAGER", ""),
    ("SYSTEMD_URLIFY", "0"),
    ("S_COLORS", "never"),
    ("TERM", "dumb"),
];

/// These ask for colours even where there is no terminal.
const NEVER: &[&str] = &["CLICOLOR_FORCE", "FORCE_COLOR", "PY_COLORS"];

/// Variables of a tool, by name.
pub type Variables = BTreeMap<OsString, OsString>;

/// For what the user typed: his own environment but for the above. Language and dates stay his;
/// only numbers change. `LC_ALL` would overrule `LC_NUMERIC`, so it is written as what it is short
/// for: `LANG` and no other `LC_` variable.
pub fn typed(own: impl IntoIterator<Item = (OsString, OsString)>) -> Variables {
    let mut vars: Variables = own.into_iter().collect();
    if let Some(all) = vars.remove(OsStr::new("LC_ALL")).filter(|v| !v.is_empty()) {
        vars.retain(|name, _| !name.as_bytes().starts_with(b"LC_"));
        vars.insert("LANG".into(), all);
    }
    vars.retain(|name, _| !NEVER.iter().any(|n| name == n));
    vars.extend(ALWAYS.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))));
    vars
}

/// For a configured panel: nothing of lmptop's own but a well-formed `LANG`, then what its
/// configuration says.
pub fn panel(panel: &Panel, lang: Option<OsString>) -> Variables {
    let mut vars: Variables =
        ALWAYS.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect();
    vars.insert("PATH".into(), PANEL_PATH.into());
    vars.insert("LANG".into(), lang.filter(|l| is_locale(l)).unwrap_or_else(|| "C.UTF-8".into()));
    vars.extend(panel.env.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))));
    vars
}

/// `de_DE.UTF-8`, `C.UTF-8`, `sr_RS@latin`; a path is none.
fn is_locale(text: &OsStr) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"_.@-".contains(b);
    !text.is_empty() && text.as_bytes().iter().all(allowed)
}

/// As execve(2) takes it; what holds a NUL byte or no name cannot be passed on and is left out.
pub(super) fn block(vars: &Variables) -> Vec<CString> {
    let named = vars.iter().filter(|(k, _)| !k.is_empty() && !k.as_bytes().contains(&b'='));
    named
        .filter_map(|(k, v)| {
            let mut line = k.clone().into_vec();
            line.push(b'=');
            line.extend_from_slice(v.as_bytes());
            CString::new(line).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(k, v)| (k.into(), v.into())).collect()
    }

    fn get<'a>(vars: &'a Variables, name: &str) -> Option<&'a str> {
        vars.get(OsStr::new(name)).and_then(|v| v.to_str())
    }

    #[test]
    fn only_numbers_change_their_language() {
        let own = [("LC_ALL", "de_DE.UTF-8"), ("LC_TIME", "C"), ("LANG", "C"), ("HOME", "/r")];
        let got = typed(vars(&own));
        assert_eq!(get(&got, "LANG"), Some("de_DE.UTF-8"));
        assert_eq!(get(&got, "LC_NUMERIC"), Some("C"));
        assert_eq!((get(&got, "LC_ALL"), get(&got, "LC_TIME")), (None, None));
        assert_eq!(get(&got, "HOME"), Some("/r"));
        let got = typed(vars(&[("LC_ALL", ""), ("LC_TIME", "fr_FR"), ("FORCE_COLOR", "1")]));
        assert_eq!(get(&got, "LC_TIME"), Some("fr_FR"), "an empty LC_ALL says nothing");
        assert_eq!(get(&got, "FORCE_COLOR"), None);
    }

    #[test]
    fn a_panel_sees_nothing_of_ours() {
        let of = Panel { env: vec![("TZ".into(), "UTC".into())], ..Panel::default() };
        let got = panel(&of, Some("de_DE.UTF-8".into()));
        assert_eq!(get(&got, "TZ"), Some("UTC"));
        assert_eq!(get(&got, "PATH"), Some(PANEL_PATH));
        assert_eq!(get(&got, "LANG"), Some("de_DE.UTF-8"));
        assert_eq!(get(&panel(&of, Some("../../x".into())), "LANG"), Some("C.UTF-8"));
        assert!(get(&got, "HOME").is_none());
    }

    #[test]
    fn what_cannot_be_passed_on_is_left_out() {
        let mut odd = Variables::new();
        odd.insert("A".into(), "1=2".into());
        odd.insert("B=C".into(), "x".into());
        odd.insert(OsString::from_vec(b"D".to_vec()), OsString::from_vec(b"a\0b".to_vec()));
        assert_eq!(block(&odd), [CString::new("A=1=2").unwrap()]);
    }
}
