//! What is measured of a whole process: its peak of memory, its allocations, its traffic with files, libtorch's generator.
//!
//! Each test runs in a process of its own, one after the other. This program starts itself anew for that. A test passes
//! when its process succeeds; the output of one that fails is shown. Arguments choose the tests whose names hold one of
//! them: `cargo test --test memory -- streaming`.

#[path = "../common/allocations.rs"]
mod allocations;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pth.rs"]
mod files;

mod history;
mod linear;
mod log;
mod pth;
mod streaming;
mod vgg_seed;

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

/// Before the name of what a process of its own has to do.
const CHILD: &str = "--child";

/// Whether the test can run here, its name, and what it does.
type Test = (bool, &'static str, fn());

/// Elsewhere there is no /proc, and on CUDA the memory is the device's.
const HAS_PEAK: bool = cfg!(target_os = "linux") && !cfg!(feature = "cuda");

const TESTS: [Test; 7] = [
    (
        HAS_PEAK,
        "history::remembered_values_do_not_hold_the_memory_around_them",
        history::remembered_values_do_not_hold_the_memory_around_them,
    ),
    (
        cfg!(target_os = "linux"),
        "linear::the_logits_are_never_in_memory_all_at_once",
        linear::the_logits_are_never_in_memory_all_at_once,
    ),
    (
        true,
        "log::a_flush_costs_the_same_however_long_the_log_is",
        log::a_flush_costs_the_same_however_long_the_log_is,
    ),
    (true, "pth::memory_is_bounded", pth::memory_is_bounded),
    (
        HAS_PEAK,
        "streaming::a_streamed_batch_takes_the_memory_of_one_image",
        streaming::a_streamed_batch_takes_the_memory_of_one_image,
    ),
    (
        HAS_PEAK && cfg!(target_env = "gnu"),
        "streaming::a_streamed_batch_uses_memory_again",
        streaming::a_streamed_batch_uses_memory_again,
    ),
    (
        true,
        "vgg_seed::random_weights_are_reproducible_and_distributed_as_in_torchvision",
        vgg_seed::random_weights_are_reproducible_and_distributed_as_in_torchvision,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((CHILD, child)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        run(child);
        return ExitCode::SUCCESS;
    }
    // The rest are options of Rust's own harness, which `cargo test` passes to every test program.
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let runnable = TESTS.iter().filter(|(runs_here, name, _)| *runs_here && is_chosen(name));
    let chosen: Vec<&str> = runnable.map(|(_, name, _)| *name).collect();
    println!("\nrunning {} tests, each in a process of its own", chosen.len());
    let failed = chosen.iter().filter(|name| !passes(name)).count();
    println!(
        "\ntest result: {} passed; {failed} failed; {} left out\n",
        chosen.len() - failed,
        TESTS.len() - chosen.len()
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What the process with these arguments is for.
fn run(arguments: &[String]) {
    let (name, arguments) = arguments.split_first().expect("a name follows");
    if let Some((_, _, test)) = TESTS.iter().find(|(_, own, _)| own == name) {
        return test();
    }
    println!("{}", streaming::measure(name, arguments));
}

/// Whether the test's process succeeds. The output of one that fails is shown.
fn passes(name: &str) -> bool {
    print!("test {name} ... ");
    std::io::stdout().flush().unwrap();
    let output = child(&[name]).output().unwrap();
    let passes = output.status.success();
    println!("{}", if passes { "ok" } else { "FAILED" });
    if !passes {
        println!("{}", output.status);
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    passes
}

/// This program anew, as the process of a test or of a measurement.
fn child(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(CHILD).args(arguments).stdin(Stdio::null());
    command
}
