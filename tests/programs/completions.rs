//! `tch-losses completions`, and what shells make of them.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::compare::run;

#[test]
fn every_shell_has_completions() -> Result<()> {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell])?;
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{shell}");
        for word in ["compare", "export", "strips", "completions"] {
            assert!(output.stdout.contains(word), "{shell} does not complete {word}");
        }
    }
    let output = run(&["completions", "basch"])?;
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("'bash'"), "{}", output.stderr);
    Ok(())
}

/// What bash itself offers, where there is one.
#[cfg(unix)]
#[test]
fn bash_completes_words() -> Result<()> {
    let complete = |words: &str, count: usize| -> Result<Option<String>> {
        let script = format!(
            "eval \"$(\"$0\" completions bash)\"; function=$(complete -p tch-losses | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             COMP_WORDS=({words}); COMP_CWORD={count}; \
             \"$function\" tch-losses \"${{COMP_WORDS[{count}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[@]}}\"",
            count - 1
        );
        let program = env!("CARGO_BIN_EXE_tch-losses");
        let mut bash = Command::new("bash");
        match bash.args(["-c", &script, program]).stdin(Stdio::null()).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            output => {
                let output = output?;
                assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
                Ok(Some(String::from_utf8(output.stdout)?))
            }
        }
    };
    for (words, count, expected) in [
        ("tch-losses comple", 1, "completions\n"),
        ("tch-losses compare --str", 2, "--strips\n"),
        ("tch-losses compare --range ''", 3, "signed unit\n"),
        ("tch-losses completions z", 2, "zsh\n"),
    ] {
        if let Some(offered) = complete(words, count)? {
            assert_eq!(offered, expected, "{words}");
        }
    }
    Ok(())
}
