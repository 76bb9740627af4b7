//! Power cuts, damaged checkpoints, full disks: a run always goes on, and always to the same weights.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use common::{checkpoints, genera, run_tiny, tempdir, text, tiny, weights};
use genera_rng::Rng;

const STEPS: u64 = 60;
const EVERY: &[&str] = &["--set", "train.checkpoint_every=3"];

#[test]
fn a_resumed_run_is_bit_identical() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    assert!(run_tiny(here, STEPS, "whole", EVERY).status.success());
    // The learning rate depends on the number of steps: the same recipe, stopped early by losing what came later.
    assert!(run_tiny(here, STEPS, "cut", &[EVERY, &["--set", "train.keep=100"]].concat()).status.success());
    for folder in checkpoints(&here.join("cut")).split_off(7) {
        fs::remove_dir_all(folder).unwrap();
    }
    let output = genera(here).args(["train", "cut", "--resume"]).output().unwrap();
    assert!(output.status.success() && text(&output.stderr).contains("step-00000021"), "{}", text(&output.stderr));
    assert_eq!(weights(&here.join("whole")), weights(&here.join("cut")));
    let steps = |run: &str| -> Vec<u64> {
        let log = fs::read_to_string(here.join(run).join("log.jsonl")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(steps("whole"), steps("cut"), "the log has every step once");
}

/// Twenty moments spread at random over the life of the process, from its first milliseconds on.
#[test]
fn killed_twenty_times_it_still_reaches_the_same_weights() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let started = Instant::now();
    assert!(run_tiny(here, STEPS, "whole", EVERY).status.success());
    let lifetime = started.elapsed();

    let mut stream = Rng::new(5).stream();
    let (mut kills, mut finished) = (0, false);
    for _ in 0..20 {
        let arguments = tiny(STEPS, "killed", &[EVERY, &["--resume"]].concat());
        let mut child = genera(here).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(lifetime.mul_f64(stream.uniform()));
        finished |= child.try_wait().unwrap().is_some_and(|status| status.success());
        kills += usize::from(child.kill().is_ok());
        child.wait().unwrap();
        if finished {
            // Whoever was quick enough to finish starts again.
            assert_eq!(weights(&here.join("whole")), weights(&here.join("killed")));
            fs::remove_dir_all(here.join("killed")).unwrap();
            finished = false;
        }
    }
    assert_eq!(kills, 20);
    let last = run_tiny(here, STEPS, "killed", &[EVERY, &["--resume"]].concat());
    assert!(last.status.success(), "{}", text(&last.stderr));
    assert_eq!(weights(&here.join("whole")), weights(&here.join("killed")));
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    assert!(run_tiny(here, 9, "r", EVERY).status.success());
    let whole = weights(&here.join("r"));
    let damages: [fn(&mut Vec<u8>); 2] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        },
    ];
    for damage in damages {
        let newest = checkpoints(&here.join("r")).pop().unwrap();
        let file = newest.join("model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let output = genera(here).args(["train", "r", "--resume"]).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("step-00000009") && said.contains("using the one before, step 6"), "{said}");
        assert_eq!(weights(&here.join("r")), whole);
    }
}

/// A file system of 300 kB as root, who alone may mount one, and a limit on the size of files for everybody.
#[test]
#[cfg(unix)]
fn a_full_disk_is_one_line_and_the_run_goes_on_later() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let more = ["--set", "train.checkpoint_every=1", "--set", "train.keep=1000"];
    let disk = here.join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"]).arg(&disk).output();
    if mount.is_ok_and(|output| output.status.success()) {
        let mounted = Mounted(disk);
        runs_out_of_room_and_goes_on(here, "disk/r", run_tiny(here, 1000, "disk/r", &more), || {
            let remount = Command::new("mount").args(["-o", "remount,size=20m"]).arg(&mounted.0).status().unwrap();
            assert!(remount.success());
        });
    }
    // The log outgrows the limit after some checkpoints; a write beyond it is refused instead of the process killed.
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 24; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_genera")])
        .args(tiny(1000, "r", &[&more[..], &["--set", "train.log_every=1"]].concat()))
        .current_dir(here)
        .output()
        .unwrap();
    runs_out_of_room_and_goes_on(here, "r", limited, || ());
}

/// Unmounts, also when a test fails.
#[cfg(unix)]
struct Mounted(std::path::PathBuf);

#[cfg(unix)]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(unix)]
fn runs_out_of_room_and_goes_on(here: &Path, run: &str, output: Output, make_room: impl Fn()) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("make room"), "{said}");
    let before = checkpoints(&here.join(run));
    assert!(!before.is_empty(), "{said}");

    // Room is made; the run goes on from a checkpoint that is whole.
    make_room();
    let set = format!("train.steps={}", before.len() + 3);
    let output = genera(here).args(["train", run, "--resume", "--set", &set]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("warning"), "no checkpoint was damaged: {}", text(&output.stderr));
}
