//! From the tree of a file to the types that serde knows, with errors that say what was given and what is
//! accepted.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Field, Node, Value};
use super::problem::Problem;

/// Reads a value.
pub(super) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Problem> {
    T::deserialize(node).map_err(|problem| problem.or_line(node.line))
}

macro_rules! whole_numbers {
    ($($method:ident: $type:ident, $visit:ident, $expected:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            match self.value {
                Value::Whole(number) => match $type::try_from(number) {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(self.mismatch($expected)),
                },
                _ => Err(self.mismatch($expected)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Whole(number) => match i64::try_from(*number) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => visitor.visit_i128(*number),
            },
            Value::Number(number) => visitor.visit_f64(*number),
            Value::Text(text) | Value::Date(text) => visitor.visit_str(text),
            Value::List(values) => visitor.visit_seq(Items { values, next: 0 }),
            Value::Table(fields) => visitor.visit_map(Fields { fields, next: 0 }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.mismatch("true or false")),
        }
    }

    whole_numbers! {
        deserialize_i64: i64, visit_i64, "a whole number";
        deserialize_u64: u64, visit_u64, "a whole number, 0 or more";
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Whole(number) => visitor.visit_f64(number as f64),
            Value::Number(number) => visitor.visit_f64(number),
            _ => Err(self.mismatch("a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::Text(text) => visitor.visit_str(text),
            _ => Err(self.mismatch("a text in quotes")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    /// One value stands for a list of one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::List(values) => visitor.visit_seq(Items { values, next: 0 }),
            Value::Null | Value::Table(_) => Err(self.mismatch("a list")),
            _ => visitor.visit_seq(Items { values: std::slice::from_ref(self), next: 0 }),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::List(values) if values.len() == length => visitor.visit_seq(Items { values, next: 0 }),
            _ => Err(self.mismatch(&format!("a list of {length} in brackets"))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::Table(fields) => visitor.visit_map(Fields { fields, next: 0 }),
            _ => {
                let expected = Expected(&visitor).to_string();
                Err(self.mismatch(&expected))
            }
        }
        .map_err(|problem: Problem| problem.or_line(self.line))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match &self.value {
            Value::Table(fields) => visitor
                .visit_map(Fields { fields, next: 0 })
                .map_err(|problem: Problem| problem.or_line(self.line)),
            _ => Err(self.mismatch(&template(names))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let access = match &self.value {
            Value::Text(name) => Variant { name, line: self.line, content: None },
            Value::Table(fields) => match &fields[..] {
                [Field { key, line, node }] => Variant { name: key, line: *line, content: Some(node) },
                _ => {
                    let names: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
                    let given = if names.is_empty() { "an empty table".into() } else { names.join(", ") };
                    let text = format!("given {given}, expected just one of `{}`", variants.join("`, `"));
                    return Err(Problem::new(text).or_line(self.line));
                }
            },
            _ => return Err(self.mismatch(&format!("one of `{}`", variants.join("`, `")))),
        };
        visitor.visit_enum(access).map_err(|problem: Problem| problem.or_line(self.line))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

/// What a visitor says that it takes.
struct Expected<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> fmt::Display for Expected<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.expecting(formatter)
    }
}

/// How a table with these fields is written.
fn template(names: &[&str]) -> String {
    let fields: Vec<String> = names.iter().map(|name| format!("{name} = ..")).collect();
    format!("a table {{ {} }}", fields.join(", "))
}

struct Items<'a> {
    values: &'a [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(node) = self.values.get(self.next) else { return Ok(None) };
        let place = format!("[{}]", self.next);
        self.next += 1;
        seed.deserialize(node).map(Some).map_err(|problem| problem.or_line(node.line).within(&place))
    }
}

struct Fields<'a> {
    fields: &'a [Field],
    next: usize,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some(Field { key, line, .. }) = self.fields.get(self.next) else { return Ok(None) };
        let key_deserializer: StrDeserializer<Problem> = key.as_str().into_deserializer();
        seed.deserialize(key_deserializer).map(Some).map_err(|problem| problem.or_line(*line).within(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Problem> {
        let Field { key, line, node } = &self.fields[self.next];
        self.next += 1;
        seed.deserialize(node).map_err(|problem| problem.or_line(*line).within(key))
    }
}

/// One of several, by its name alone or with what belongs to it.
struct Variant<'a> {
    name: &'a str,
    line: usize,
    content: Option<&'a Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Problem> {
        let name: StrDeserializer<Problem> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|problem| problem.or_line(self.line))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(Problem::new(format!("`{0}` takes no values: write \"{0}\"", self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        let Variant { name, line, content } = self;
        match content {
            Some(node) => seed.deserialize(node).map_err(|problem| problem.or_line(line).within(name)),
            None => {
                let values = match seed.deserialize(Probe).map(drop) {
                    Err(Shape::Fields(names)) => template(names).replace("a table ", ""),
                    _ => "..".into(),
                };
                Err(Problem::new(format!("`{name}` needs its values: {{ {name} = {values} }}")))
            }
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Problem> {
        Err(self.not_in_files())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Problem> {
        Err(self.not_in_files())
    }
}

impl Variant<'_> {
    /// Of variants that no type here has.
    fn not_in_files(&self) -> Problem {
        Problem::new(format!("`{}` cannot be written in a file", self.name))
    }
}

/// The names of the fields that a type reads from a table.
pub(super) fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Probe) {
        Err(Shape::Fields(names)) => names,
        _ => &[],
    }
}

/// Holds nothing: finds out what would be read.
struct Probe;

/// What a type wanted to read.
#[derive(Debug)]
enum Shape {
    Fields(&'static [&'static str]),
    Other,
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Shape;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Shape> {
        Err(Shape::Other)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Shape> {
        Err(Shape::Fields(names))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("there is nothing to read")
    }
}

impl std::error::Error for Shape {}

impl serde::de::Error for Shape {
    fn custom<T: fmt::Display>(_: T) -> Shape {
        Shape::Other
    }
}
