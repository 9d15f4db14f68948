//! What the tests of the trainers share: the examples as programs, interrupted and compared.

use std::env::current_exe;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{ensure, Context, Result};
use tch_losses::visual::image::RgbImage;

/// Cargo puts examples beside the folder of the tests.
pub fn program(name: &str) -> Result<Command> {
    let test = current_exe()?;
    let target = test.parent().and_then(Path::parent).context("a test is in target/PROFILE/deps")?;
    let program = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    // `cargo test` builds it, `cargo test --test programs` does not.
    let built = fs::metadata(&program).and_then(|program| program.modified());
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for folder in [name, "shared"] {
        for source in fs::read_dir(examples.join(folder))? {
            let source = source?;
            let changed = source.metadata()?.modified()?;
            let current = built.as_ref().is_ok_and(|built| changed <= *built);
            let compiled = source.path().extension().is_some_and(|extension| extension == "rs");
            ensure!(current || !compiled, "build it first: cargo build --example {name} --features image");
        }
    }
    let mut command = Command::new(program);
    // Where the cores are busy, threads that wait for each other cost many times what such small networks do.
    command.env("OMP_NUM_THREADS", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

pub fn succeed(command: &mut Command) -> Result<()> {
    let Output { status, stderr, .. } = command.output()?;
    ensure!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    Ok(())
}

/// What the run prints in the end.
pub fn verdict(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.stdout(Stdio::piped()).output()?;
    ensure!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8(stdout)?)
}

pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

pub fn write_image(path: PathBuf, width: u32, height: u32) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    Ok(RgbImage::new(width, height).save(path)?)
}

#[cfg(unix)]
pub use interruption::*;

#[cfg(unix)]
mod interruption {
    use std::thread::sleep;
    use std::time::Duration;

    use anyhow::bail;

    use super::*;

    pub fn send(signal: &str, process: u32) -> Result<()> {
        // A command of every shell, so that it is there where /bin/kill is not.
        let status = Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    fn copy(from: &Path, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let to = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &to)?;
            } else {
                fs::copy(entry.path(), to)?;
            }
        }
        Ok(())
    }

    /// Starts a program that works in the folder `run`, and sends it a signal when `moment` has come.
    ///
    /// This process may be kept waiting for so long that the program is done first. Then the folder becomes what
    /// it was, and the program starts again: what is tested is always an interruption. 100 times are as good as
    /// never, each time leaving the program dozens of steps.
    pub fn interrupt(
        run: &Path,
        signal: &str,
        command: impl Fn() -> Result<Command>,
        moment: impl Fn() -> bool,
    ) -> Result<Output> {
        let before = tempfile::tempdir()?;
        if run.exists() {
            copy(run, before.path())?;
        }
        for _ in 0..100 {
            let mut process = command()?.spawn()?;
            while process.try_wait()?.is_none() && !moment() {
                sleep(Duration::from_millis(1));
            }
            if process.try_wait()?.is_none() {
                send(signal, process.id())?;
            }
            let output = process.wait_with_output()?;
            if !output.status.success() {
                return Ok(output);
            }
            fs::remove_dir_all(run)?;
            if fs::read_dir(before.path())?.next().is_some() {
                copy(before.path(), run)?;
            }
        }
        bail!("it has always ended before it could be interrupted")
    }

    /// How many steps are in the log.
    pub fn logged_steps(run: &Path) -> usize {
        let log = fs::read(run.join("loss_log.jsonl")).unwrap_or_default();
        log.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"step\"")).count()
    }

    pub fn assert_same_files(run: &Path, expected: &Path, names: &[&str]) -> Result<()> {
        for name in names {
            assert!(fs::read(run.join(name))? == fs::read(expected.join(name))?, "{name} differs");
        }
        Ok(())
    }
}
