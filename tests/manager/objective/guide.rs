//! The guide's page on objectives says what is true: its file, its summary, its errors.

use tch_losses::manager::Objective;

const PAGE: &str = include_str!("../../../src/guide/objectives.md");

/// The first block of a language that comes after a heading.
fn block(heading: &str, language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let (_, rest) = PAGE.split_once(heading).expect("the heading is there");
    let (_, rest) = rest.split_once(&begin).expect("a block comes after the heading");
    rest.split_once("```").expect("the block ends").0
}

fn file() -> &'static str {
    block("", "toml")
}

#[test]
fn the_file_of_the_guide_is_what_its_page_says() {
    let objective = Objective::from_toml(file()).unwrap();
    assert_eq!(objective.to_string().trim_end(), block("# On the command line", "text").trim_end());
    assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective);
}

#[test]
fn mistakes_give_the_errors_of_the_guide() {
    let mistakes = [
        ("\"SsimLoss\"", "\"SimLoss\""),
        ("\nweight = 10.0", "\nlambda = 10.0"),
        ("\"lsgan\"", "\"lsgn\""),
        ("data_range = \"signed\" }", "data_range = [1.0, -1.0] }"),
        ("every = 16", "every = 0"),
        ("weight = 0.05", "weight = 0.05\nschedule = { constant = 1.0 }"),
        ("[losses.G_L1]", "[G_L1]"),
    ];
    let expected = block("# What goes wrong", "text").lines();
    assert_eq!(expected.clone().count(), mistakes.len());
    for ((right, wrong), expected) in mistakes.into_iter().zip(expected) {
        let text = file().replacen(right, wrong, 1);
        assert_ne!(text, file(), "{right}");
        let error = Objective::from_toml(&text).unwrap_err().to_string();
        assert_eq!(error, format!("objective: {expected}"));
    }
}
