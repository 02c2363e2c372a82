//! What a trigger that fired sets off: a bell, a line, a program.
//!
//! A program is run by its arguments, never by a shell, with this user's id and none of the rights
//! lmptop had at its start, with nothing to read and nowhere to write; one at a time.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::usage;
use crate::cli;
use crate::source::{Focus, schemas};
use crate::table::{clean, clock};
use crate::tool::process::environment;
use crate::tool::process::trust;
use crate::tool::spec::{Panel, Spec};
use crate::trigger::{Fired, Trigger, Triggers};
use crate::urgency;

/// How long a program may run.
const LONGEST: Duration = Duration::from_secs(60);
/// How long one that still runs at the end is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens the triggers of the command line and of the configuration.
///
/// # Errors
/// When a rule cannot be answered or a program cannot be run.
pub fn open(args: &cli::Noticing, configured: Vec<Trigger>, tools: &[Spec]) -> Result<Triggers> {
    let typed = args.trigger.iter().cloned().map(Trigger::of);
    let mut all: Vec<Trigger> = typed.chain(configured).collect();
    for trigger in &mut all {
        trigger.before = args.before.unwrap_or(trigger.before);
        trigger.after = args.after.unwrap_or(trigger.after);
        program(trigger).map_err(|why| usage(anyhow::anyhow!("{why}")))?;
    }
    let tools: Vec<String> = tools.iter().map(|t| t.name.clone()).collect();
    Triggers::open(all, &schemas(), &tools).map_err(|why| usage(anyhow::anyhow!("{}", clean(&why))))
}

/// Has the tables that rules look at collected.
pub fn focus(triggers: &Triggers, focus: &mut Focus, tables: &mut Vec<String>) {
    for table in triggers.tables() {
        focus.stacks.of_table(table, None);
        focus.states |= matches!(table, "wake" | "state" | "lock");
        if !tables.is_empty() && !tables.iter().any(|t| t == table) {
            let own = schemas().iter().any(|s| s.table() == table);
            tables.extend(own.then(|| table.to_owned()));
        }
    }
}

/// The program of a trigger as it is given to the kernel.
fn program(trigger: &Trigger) -> Result<Option<Command>, String> {
    if trigger.run.is_empty() {
        return Ok(None);
    }
    let found = trust::find(&trigger.name, &trigger.run).map_err(|refused| {
        let of_panel = format!("panel {}: ", trigger.name);
        let why = refused.text.strip_prefix(&of_panel).unwrap_or(&refused.text).to_owned();
        format!("trigger {}: {}", clean(&trigger.name), clean(&why))
    })?;
    let mut command = Command::new(&found.program);
    if let Some((name, rest)) = found.argv.split_first() {
        command.arg0(name).args(rest);
    }
    let vars = environment::panel(&Panel::default(), std::env::var_os("LANG"));
    command.env_clear().envs(vars).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Some(command))
}

/// Programs that were set off.
#[derive(Default)]
pub struct Alarm {
    running: Option<(String, Child, Instant)>,
}

impl Alarm {
    /// Runs the trigger's program; what the user has to know comes back.
    pub fn sound(&mut self, trigger: &Trigger, fired: &Fired, wall_ns: i64) -> Option<String> {
        let told = self.look();
        let mut command = match program(trigger) {
            Ok(Some(command)) => command,
            Ok(None) => return told,
            Err(why) => return Some(why),
        };
        if let Some((name, _, _)) = &self.running {
            return Some(format!("{} was not run, {name} still runs", clean(&trigger.name)));
        }
        command.envs(variables(fired, wall_ns));
        // From a thread like most: what is started has the nice of the one that starts it.
        let begin = || {
            urgency::ordinary();
            command.spawn()
        };
        let begun = std::thread::scope(|scope| scope.spawn(begin).join());
        match begun.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())) {
            Ok(child) => {
                let name = clean(&trigger.run[0].to_string_lossy()).into_owned();
                self.running = Some((name, child, Instant::now()));
                told
            }
            Err(e) => Some(format!("trigger {}: cannot run it: {e}", clean(&trigger.name))),
        }
    }

    /// Notices the end of a program, and ends one that takes too long.
    pub fn look(&mut self) -> Option<String> {
        let (name, mut child, since) = self.running.take()?;
        match child.try_wait() {
            Ok(Some(status)) if status.success() => None,
            Ok(Some(status)) => Some(format!("{name}: {status}")),
            Ok(None) if since.elapsed() > LONGEST => {
                kill(&mut child);
                Some(format!("{name} was ended, it ran longer than {} s", LONGEST.as_secs()))
            }
            Ok(None) => {
                self.running = Some((name, child, since));
                None
            }
            Err(e) => Some(format!("{name}: {e}")),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.running.is_some() && Instant::now() < until {
            self.look();
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some((_, mut child, _)) = self.running.take() {
            kill(&mut child);
        }
    }
}

/// Ends a program and all it started.
fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().filter(|id| *id > 1);
    if let Some(group) = group {
        // SAFETY: takes two integers; the child is the leader of its own group and not reaped yet,
        // so the number is nobody else's.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    let ended: io::Result<_> = child.kill().and_then(|()| child.wait());
    drop(ended);
}

/// What a program is told in its environment; text is clean.
fn variables(fired: &Fired, wall_ns: i64) -> Vec<(&'static str, OsString)> {
    let number = |n: Option<f64>| n.map(|n| OsString::from(n.to_string()));
    let text = |t: &str| Some(OsString::from(t));
    [
        ("LMPTOP_TRIGGER", text(fired.name.as_str())),
        ("LMPTOP_RULE", text(fired.rule.as_str())),
        ("LMPTOP_CAUSE", text(fired.cause.as_str())),
        ("LMPTOP_TIME", text(&clock::rfc3339(wall_ns))),
        ("LMPTOP_VALUE", number(fired.value)),
        ("LMPTOP_LIMIT", number(fired.threshold)),
        ("LMPTOP_PID", fired.pid.map(|pid| pid.to_string().into())),
        ("LMPTOP_COMM", fired.comm.as_ref().and_then(|c| text(c.as_str()))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Clean;
    use crate::trigger::Rule;

    fn fired() -> Fired {
        Fired {
            time_ns: 1,
            name: Clean::from("busy"),
            rule: Clean::from("load1>8"),
            cause: Clean::from("host.load1 is 9; $(touch x)"),
            value: Some(9.5),
            threshold: Some(8.0),
            pid: None,
            comm: None,
        }
    }

    fn running(argv: &[&str]) -> Trigger {
        Trigger {
            name: "busy".to_owned(),
            run: argv.iter().map(OsString::from).collect(),
            ..Trigger::of(Rule::parse("load1>8").unwrap())
        }
    }

    fn settle(alarm: &mut Alarm) -> Option<String> {
        let until = Instant::now() + Duration::from_secs(20);
        while alarm.running.is_some() {
            if let Some(told) = alarm.look() {
                return Some(told);
            }
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    #[test]
    fn a_program_gets_the_cause_as_it_is_and_nothing_is_a_shell() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let script = "printf '%s|%s|%s|%s' \"$LMPTOP_CAUSE\" \"$LMPTOP_VALUE\" \"$LMPTOP_PID\" \"$1\" > \"$0\"";
        let trigger = running(&["/bin/sh", "-c", script, out.to_str().unwrap(), "a b;c"]);
        let mut alarm = Alarm::default();
        assert_eq!(alarm.sound(&trigger, &fired(), 0), None);
        assert_eq!(settle(&mut alarm), None);
        let told = std::fs::read_to_string(&out).unwrap();
        assert_eq!(told, "host.load1 is 9; $(touch x)|9.5||a b;c");
    }

    #[test]
    fn one_at_a_time_and_failures_are_told() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.sound(&running(&["/bin/sleep", "30"]), &fired(), 0), None);
        let told = alarm.sound(&running(&["/bin/true"]), &fired(), 0).unwrap();
        assert_eq!(told, "busy was not run, /bin/sleep still runs");
        kill(&mut alarm.running.take().unwrap().1);
        assert_eq!(alarm.sound(&running(&["/bin/false"]), &fired(), 0), None);
        assert!(settle(&mut alarm).unwrap().contains("exit status: 1"));
        let told = alarm.sound(&running(&["true"]), &fired(), 0).unwrap();
        assert!(told.starts_with("trigger busy: true is not an absolute path"), "{told}");
    }
}
