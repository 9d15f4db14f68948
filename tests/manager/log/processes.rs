//! Several processes, one that is killed, and a full disk.

use super::*;

const CHILD: &str = "LOG_TEST_CHILD";

/// This test program once more, to run nothing but `child_process`, perhaps started by `shell`.
fn child(shell: Option<&str>, what: &str, place: &Place, step: u64) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(program),
        Some(script) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(program);
            command
        }
    };
    command
        .args(["log::processes::child_process", "--exact", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null());
    command.env(CHILD, what).env("LOG", &place.log).env("STEP", step.to_string());
    command
}

/// Steps in each call, so many that a kill may come in the middle of a write.
const MANY: u64 = 50;

fn computed_many(start: u64) -> Vec<Record> {
    (start..start + MANY).flat_map(computed).collect()
}

fn new_loss(step: u64) -> Record {
    record("new", &["G"], (0, step), 0.5, 1.0)
}

/// Not a test of its own: what the processes that other tests start do.
#[test]
fn child_process() {
    let Some(what) = std::env::var_os(CHILD) else { return };
    let path = PathBuf::from(std::env::var_os("LOG").unwrap());
    let mut step: u64 = std::env::var("STEP").unwrap().parse().unwrap();
    match what.to_str().unwrap() {
        "open" => match LossLog::open(&path, &run()) {
            Ok(_) => println!("\nopened"),
            Err(error) => println!("\n{error}"),
        },
        "append" => {
            let mut log = match step {
                0 => LossLog::open(&path, &run()).unwrap(),
                _ => LossLog::resume(&path, &run(), step - 1).unwrap(),
            };
            loop {
                log.append(&computed_many(step)).unwrap();
                step += MANY;
                println!("\nappended {step}");
            }
        }
        "fill" => {
            let mut log = LossLog::open(&path, &run()).unwrap();
            while log.append(&computed_many(step)).is_ok() {
                step += MANY;
            }
            let bytes = fs::read(&path).unwrap();
            for _ in 0..3 {
                let error = log.append(&computed_many(step)).unwrap_err();
                assert!(matches!(&error, Error::Write { path: given, .. } if *given == path), "{error}");
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
            // What was not written was not declared.
            let news: Vec<Record> = (0..1000).map(|_| new_loss(step)).collect();
            log.append(&news).unwrap_err();
            log.append(&news[..1]).unwrap();
            // What still fits is taken.
            let mut fitting = step;
            while log.append(&computed(fitting)).is_ok() {
                fitting += 1;
            }
            assert!(fitting > step);
            println!("\nfull {step}\nfilled {fitting}");
        }
        other => panic!("{other}"),
    }
}

fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// The number at the end of the last line that begins with `word`.
fn last_number(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix(word))?;
    Some(line.trim().parse().unwrap())
}

#[test]
fn only_one_writes_at_a_time() {
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    append(&mut log, 0, 2);
    let bytes = place.bytes();
    let error = LossLog::resume(&place.log, &run(), 0).unwrap_err();
    assert!(matches!(&error, Error::Log(LogError::Locked { path }) if *path == place.log), "{error}");
    let said = output(child(None, "open", &place, 0));
    assert!(said.contains("is in use") && !said.contains("opened"), "{said}");
    assert_eq!(place.bytes(), bytes);
    // Reading needs no lock.
    assert_eq!(LoggedRun::read(&place.log).unwrap().losses["G_L1"].steps, [0, 1]);
    append(&mut log, 2, STEPS);
    assert_eq!(place.bytes(), whole());
    drop(log);
    assert!(output(child(None, "open", &place, 0)).contains("opened"));
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let place = Place::new();
    let mut step = 0;
    let mut random = 12345u64;
    for round in 0..10 {
        let mut child = child(None, "append", &place, step).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut said = String::new();
        while said.matches("appended").count() < 1 + (random >> 33) as usize % 10 {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "{said}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said by then.
        stdout.read_to_string(&mut said).unwrap();
        // The kill may have cut that line, too.
        let complete = said.rfind('\n').map_or("", |end| &said[..end]);
        let promised = last_number(complete, "appended").unwrap();
        assert!(promised > step);

        let logged = LoggedRun::read(&place.log).unwrap();
        let steps = &logged.losses["G_L1"].steps;
        assert!(*steps.last().unwrap() >= promised - 1, "round {round}: {:?}", steps.last());
        // The reader and the writer agree about what is there.
        let before = place.bytes();
        drop(LossLog::open(&place.log, &run()).unwrap());
        assert!(before.starts_with(&place.bytes()));
        assert_eq!(LoggedRun::read(&place.log).unwrap().losses["G_L1"].steps, *steps);
        // The checkpoint may be older than the log.
        step = promised - if round % 2 == 0 { 0 } else { MANY };
    }
    let uninterrupted = Place::new();
    let mut log = LossLog::open(&uninterrupted.log, &run()).unwrap();
    append(&mut log, 0, step);
    drop(LossLog::resume(&place.log, &run(), step - 1).unwrap());
    assert!(place.bytes() == uninterrupted.bytes());
}

/// A limit on the size of files is what a full disk is: a write takes a part, and the next one nothing.
#[test]
#[cfg(unix)]
fn on_a_full_disk_nothing_is_lost_and_nothing_comes_twice() {
    let place = Place::new();
    let said = output(child(Some("trap '' XFSZ; ulimit -f 100"), "fill", &place, 0));
    let (full, step) = (last_number(&said, "full").unwrap(), last_number(&said, "filled").unwrap());
    let bytes = place.bytes();
    assert!(bytes.ends_with(b"}\n") && full > 0);
    // There is room again.
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    assert_eq!(place.bytes(), bytes);
    append(&mut log, step, step + 5);
    let expected = Place::new();
    let mut log = LossLog::open(&expected.log, &run()).unwrap();
    append(&mut log, 0, full);
    log.append(&[new_loss(full)]).unwrap();
    append(&mut log, full, step + 5);
    assert!(place.bytes() == expected.bytes());
}
