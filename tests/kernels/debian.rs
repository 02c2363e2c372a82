//! Debian's kernels, fetched through apt from the mirror this machine is set up for and kept
//! under `target/kernels`; nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kernel series and the Debian release that has it.
const SERIES: &[(&str, &str)] = &[("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie")];
const META: &str = "linux-image-cloud-amd64";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// In the order they must be loaded: sock_diag answers nothing without its own, and a block device
/// is made of a file by `loop`.
const MODULES: &[&str] = &["inet_diag", "tcp_diag", "udp_diag", "loop"];

/// A kernel that has been unpacked.
pub struct Package {
    /// The package's name, which holds the exact version.
    pub name: String,
    /// The bootable image.
    pub vmlinuz: PathBuf,
    /// Modules in the order they must be loaded, uncompressed.
    pub modules: Vec<PathBuf>,
    /// Where this kernel's files are kept.
    pub dir: PathBuf,
}

/// Fetches the newest kernel of a series, or takes the one fetched before.
pub fn kernel(series: &str) -> Result<Package, String> {
    let known = SERIES.iter().find(|(s, _)| *s == series);
    let (_, release) = known.ok_or_else(|| {
        let all: Vec<&str> = SERIES.iter().map(|(s, _)| *s).collect();
        format!("unknown series; known are {}", all.join(", "))
    })?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target directory")?;
    let dir = target.join("kernels").join(series);
    let kept = dir.join("package");
    let modules: Vec<PathBuf> = MODULES.iter().map(|m| dir.join(format!("{m}.ko"))).collect();
    if !kept.exists() || !modules.iter().all(|m| m.exists()) {
        fetch(release, &dir)?;
    }
    let name = fs::read_to_string(&kept).map_err(|e| format!("{}: {e}", kept.display()))?;
    Ok(Package { name, vmlinuz: dir.join("vmlinuz"), modules, dir })
}

fn fetch(release: &str, dir: &Path) -> Result<(), String> {
    let apt = dir.join("apt");
    for sub in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(sub)).map_err(|e| format!("{}: {e}", apt.display()))?;
    }
    let source = format!("deb [signed-by={KEYS}] {} {release} main\n", mirror()?);
    fs::write(apt.join("sources.list"), source).unwrap();
    fs::write(apt.join("status"), "").unwrap();
    println!("fetching the package list of {release}");
    private(&apt, dir, "apt-get", &["-qq", "update"])?;
    let depends = private(&apt, dir, "apt-cache", &["depends", META])?;
    let name = depends
        .lines()
        .filter_map(|l| l.trim().strip_prefix("Depends: "))
        .find(|p| p.starts_with("linux-image-"))
        .ok_or(format!("{META} of {release} depends on no kernel:\n{depends}"))?;
    println!("fetching {name}");
    private(&apt, dir, "apt-get", &["-qq", "download", name])?;
    let deb = find(dir, &|f| f.starts_with(name) && f.ends_with(".deb"))
        .ok_or(format!("apt-get download left no {name}*.deb"))?;
    let root = dir.join("root");
    run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&root))?;
    keep(&root, dir)?;
    for done in [&root, &apt] {
        fs::remove_dir_all(done).unwrap();
    }
    fs::remove_file(deb).unwrap();
    fs::write(dir.join("package"), name).map_err(|e| e.to_string())
}

/// Takes the kernel and the modules out of the unpacked package.
fn keep(root: &Path, dir: &Path) -> Result<(), String> {
    let vmlinuz = find(root, &|f| f.starts_with("vmlinuz-")).ok_or("no vmlinuz in the package")?;
    fs::rename(vmlinuz, dir.join("vmlinuz")).map_err(|e| e.to_string())?;
    for module in MODULES {
        let ko = format!("{module}.ko");
        let path = find(root, &|f| f.starts_with(&ko)).ok_or(format!("no {ko} in the package"))?;
        if path.extension().is_some_and(|e| e == "xz") {
            run(Command::new("xz").arg("-d").arg(&path))?;
        }
        fs::rename(path.with_file_name(&ko), dir.join(&ko)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The first mirror of a whole release (not of updates or security) that apt is set up for.
fn mirror() -> Result<String, String> {
    let format = ["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"];
    let targets = run(Command::new("apt-get").args(format))?;
    let known = targets.lines().filter_map(|l| l.split_once(' '));
    let ours =
        known.filter(|(r, _)| ["bullseye", "bookworm", "trixie", "forky", "sid"].contains(r));
    let uri = ours.map(|(_, uri)| uri.to_owned()).next();
    uri.ok_or(format!("apt is set up for no Debian mirror; it knows\n{targets}"))
}

fn private(apt: &Path, dir: &Path, tool: &str, args: &[&str]) -> Result<String, String> {
    let path = |p: &str| apt.join(p).display().to_string();
    let options = [
        format!("Dir::Etc::SourceList={}", path("sources.list")),
        "Dir::Etc::SourceParts=/dev/null".into(),
        format!("Dir::State={}", path("state")),
        format!("Dir::State::status={}", path("status")),
        format!("Dir::Cache={}", path("cache")),
        "APT::Architecture=amd64".into(),
        "APT::Sandbox::User=root".into(),
        "Acquire::Languages=none".into(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
    ];
    let options = options.iter().flat_map(|o| ["-o", o]);
    run(Command::new(tool).args(options).args(args).current_dir(dir))
}

/// The first file below `dir` whose name fits.
fn find(dir: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    for path in fs::read_dir(dir).ok()?.filter_map(|e| Some(e.ok()?.path())) {
        let name = path.file_name()?.to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find(&path, fits) {
                return Some(found);
            }
        } else if fits(&name) {
            return Some(path);
        }
    }
    None
}

/// Runs a tool to its end; its standard output, or what it complained about.
pub fn run(command: &mut Command) -> Result<String, String> {
    let line = format!("{command:?}");
    let out = command.output().map_err(|e| format!("cannot run {line}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{line}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr)))
}
