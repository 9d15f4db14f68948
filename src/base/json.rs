//! JSON texts: objects whose names come once, and errors in words.

use std::fmt;

use indexmap::map::Entry;
use indexmap::IndexMap;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What is wrong with a JSON text, in words. Where it is wrong, the error's `line` and `column` tell.
pub(crate) fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The rest is the place.
    let text = text.split(" at line ").next().unwrap_or_default();
    let words = match text {
        "EOF while parsing a list" => "the text ends within a list: `]` is missing",
        "EOF while parsing an object" => "the text ends within an object: `}` is missing",
        "EOF while parsing a string" => "the text ends within quotes: `\"` is missing",
        "EOF while parsing a value" => "the text ends where a value is expected",
        "expected `:`" => "expected `:` after the name of a field",
        "expected `,` or `]`" => "expected `,` or `]` after a value in a list",
        "expected `,` or `}`" => "expected `,` or `}` after a value in an object",
        "expected ident" => "given another word than `true`, `false` and `null`",
        "expected value" => {
            "expected a value: a number, a text in double quotes, `true`, `false`, `null`, a list in `[]` or an \
             object in `{}`"
        }
        "invalid escape" => "given a `\\` that begins none of JSON's escapes",
        "invalid number" => "given a number that is not in JSON's form",
        "number out of range" => "given a number that is too large",
        "invalid unicode code point" => "given bytes that are not UTF-8",
        "control character (\\u0000-\\u001F) found while parsing a string" => {
            "given a control character within quotes, expected an escape such as `\\n`"
        }
        "key must be a string" => "expected the name of a field, in double quotes",
        "trailing comma" => "given a comma after the last value",
        "trailing characters" => "given more text after the end of the value",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "given half a character: `\\ud800` to `\\udfff` come in pairs"
        }
        "recursion limit exceeded" => "given too many lists and objects in each other",
        other => other,
    };
    words.into()
}

/// An object whose names come once: the usual maps take the last value of a name and say nothing.
pub(crate) struct Fields<'a>(pub IndexMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    match fields.entry(name) {
                        Entry::Vacant(place) => drop(place.insert(value)),
                        Entry::Occupied(taken) => {
                            return Err(A::Error::custom(format_args!("`{}` is there twice", taken.key())));
                        }
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn syntax_errors_are_told_in_words() {
        let deep = "[".repeat(1000);
        let cases: [(&[u8], &str); 24] = [
            (b"", "ends where a value is expected"),
            (b"{\"a\":", "ends where a value is expected"),
            (b"[1", "ends within a list"),
            (b"{\"a\": 1", "ends within an object"),
            (b"\"a", "ends within quotes"),
            (b"{\"a\" 1}", "`:` after the name"),
            (b"[1 2]", "`,` or `]`"),
            (b"{\"a\": 1 \"b\": 2}", "`,` or `}`"),
            (b"nule", "another word than `true`"),
            (b"damage", "expected a value: a number"),
            (b"NaN", "expected a value: a number"),
            (b"\"\\q\"", "escape"),
            (b"01", "not in JSON's form"),
            (b"[1.]", "not in JSON's form"),
            (b"1e999", "too large"),
            (b"\"\xff\"", "not UTF-8"),
            (b"\"\n\"", "control character"),
            (b"{a: 1}", "name of a field"),
            (b"{\"a\": 1,}", "comma after the last"),
            (b"[1,]", "comma after the last"),
            (b"1 2", "more text after the end"),
            (b"\"\\ud800\"", "half a character"),
            (b"\"\\ud800\\n\"", "half a character"),
            (deep.as_bytes(), "in each other"),
        ];
        for (text, part) in cases {
            let error = serde_json::from_slice::<Value>(text).unwrap_err();
            let words = in_words(&error);
            assert!(words.contains(part), "{}: {words}, expected {part}", text.escape_ascii());
        }
    }

    #[test]
    fn names_come_once() {
        let twice = serde_json::from_str::<Fields>(r#"{"a": 1, "b": 2, "a": 3}"#);
        assert_eq!(in_words(&twice.err().unwrap()), "`a` is there twice");
        let Fields(fields) = serde_json::from_str(r#"{"b": [1, 2], "a": null}"#).unwrap();
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
        assert_eq!(fields, [("b", "[1, 2]"), ("a", "null")]);
    }
}
