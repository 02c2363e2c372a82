//! `lmptop man`: the manual page, made from the definition of the command line and the key map.

use anyhow::Result;
use clap::CommandFactory;
use clap_mangen::Man;

use crate::app::BINDINGS;
use crate::cli::Cli;

const FILES: &str = ".SH FILES
.TP
/var/lib/lmptop
Sessions recorded by root.
.TP
$XDG_STATE_HOME/lmptop, else ~/.local/state/lmptop
Sessions recorded by others.
.TP
$XDG_CONFIG_HOME/lmptop/config.toml, else ~/.config/lmptop/config.toml
Panels of this user; \\fBlmptop panel sample\\fR explains it.
.TP
/etc/lmptop/config.toml
Panels of everybody who has none.
";

const STATUS: &str = ".SH EXIT STATUS
.TP
0
Done. Also when a reader closed the pipe, and when a recording was ended by a signal.
.TP
1
Failure: one line on standard error says what was wrong and what to do.
.TP
2
The command line was wrong.
";

/// Prints the page.
///
/// # Errors
/// When standard output is closed.
pub fn run() -> Result<()> {
    super::say(&page(&keys())?)
}

/// The key map as tagged paragraphs.
fn keys() -> String {
    let mut out = String::new();
    for b in BINDINGS {
        let names: Vec<String> =
            b.keys.iter().map(|k| k.to_string().replace('\\', "\\e")).collect();
        // A leading quote or dot would be a request to roff.
        out.push_str(&format!(".TP\n\\&{}\n\\&{}\n", names.join(" "), b.help));
    }
    out.push_str(".SS Of the stacks\n");
    for (keys, _, help) in crate::app::stack::KEYS {
        out.push_str(&format!(".TP\n\\&{keys}\n\\&{help}\n"));
    }
    out
}

fn page(keys: &str) -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone());
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut out = String::from_utf8(out)?;
    out.push_str(".SH COMMANDS\n");
    for sub in command.get_subcommands() {
        out.push_str(&subcommand(sub.get_name(), sub)?);
        // clap adds a `help` to nested commands; it explains itself.
        for inner in sub.get_subcommands().filter(|s| s.get_name() != "help") {
            out.push_str(&subcommand(&format!("{} {}", sub.get_name(), inner.get_name()), inner)?);
        }
    }
    let mut rest = Vec::new();
    man.render_extra_section(&mut rest)?;
    out.push_str(&String::from_utf8(rest)?.replace(".SH EXTRA", ".SH TIMES AND FILTERS"));
    if !keys.is_empty() {
        out.push_str(".SH KEYS\n");
        out.push_str(keys);
        out.push('\n');
    }
    out.push_str(FILES);
    out.push_str(STATUS);
    Ok(out)
}

/// A subcommand as one subsection: how it is called, what it does, its options.
fn subcommand(name: &str, sub: &clap::Command) -> Result<String> {
    let man = Man::new(sub.clone());
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    man.render_options_section(&mut part)?;
    let part = String::from_utf8(part)?;
    // Section headings of a page of its own become paragraphs of the subsection.
    let body: String = part
        .lines()
        .map(|l| if l.starts_with(".SH ") { ".PP\n".to_owned() } else { format!("{l}\n") })
        .collect();
    Ok(format!(".SS \"lmptop {name}\"\n{body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_command_and_the_keys() {
        let page = page(&keys()).unwrap();
        for name in ["record", "replay", "sessions", "print", "columns", "doctor", "completions"] {
            assert!(page.contains(&format!(".SS \"lmptop {name}\"")), "{name}");
        }
        for name in ["check", "list", "sample", "import"] {
            assert!(page.contains(&format!(".SS \"lmptop panel {name}\"")), "{name}");
        }
        assert!(!page.contains("panel help"));
        assert!(page.contains("\\&q ^C F10\n\\&Quit\n"), "{page}");
        assert!(page.contains("\\-\\-filter"));
        assert!(!super::page("").unwrap().contains(".SH KEYS"));
    }
}
