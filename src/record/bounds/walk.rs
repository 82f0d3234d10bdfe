//! The walk over what serde writes of a value: a writer that keeps nothing and looks at everything.

use std::fmt;

use serde::ser::{self, Serialize};

use super::limits::{ALL, MOST, TEXT, longest, most};

/// Where in the file the walk is.
#[derive(Default)]
pub(super) struct Walk {
    /// The struct whose key was entered last.
    holder: &'static str,
    key: &'static str,
    /// The sum of what was met so far.
    all: u64,
}

impl Walk {
    fn number(&mut self, far: u64, shown: impl fmt::Display) -> Result<(), Beyond> {
        let most = most(self.holder, self.key);
        if far > most {
            return Err(Beyond::at_last(format!("{shown} is more than {most}")));
        }
        if most <= MOST {
            self.all += far;
        }
        match self.all <= ALL {
            true => Ok(()),
            false => Err(Beyond::at_last(format!(
                "all numbers up to this one are more than {ALL} together"
            ))),
        }
    }

    fn entries(&mut self, n: usize) -> Result<Entries<'_>, Beyond> {
        let most = longest(self.holder, self.key);
        match n <= most {
            true => Ok(Entries { walk: self, at: 0 }),
            false => Err(Beyond::at_last(format!("{n} entries are more than {most}"))),
        }
    }
}

/// A list, tuple or map, entry by entry.
pub(super) struct Entries<'w> {
    walk: &'w mut Walk,
    at: usize,
}

impl Entries<'_> {
    fn next(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Beyond> {
        let at = self.at;
        self.at += 1;
        value
            .serialize(&mut *self.walk)
            .map_err(|beyond| beyond.under(&format!("[{at}]")))
    }
}

/// A struct, or a struct in an enum, key by key.
pub(super) struct Keys<'w> {
    walk: &'w mut Walk,
    holder: &'static str,
}

impl Keys<'_> {
    fn next(&mut self, key: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), Beyond> {
        (self.walk.holder, self.walk.key) = (self.holder, key);
        value
            .serialize(&mut *self.walk)
            .map_err(|beyond| beyond.under(key))
    }
}

macro_rules! whole_numbers {
    ($($method:ident $kind:ty, $far:expr;)*) => {
        $(fn $method(self, n: $kind) -> Result<(), Beyond> {
            let far: fn($kind) -> u64 = $far;
            self.number(far(n), n)
        })*
    };
}

macro_rules! without_bound {
    ($($method:ident($($kind:ty),*);)*) => {
        $(fn $method(self, $(_: $kind),*) -> Result<(), Beyond> {
            Ok(())
        })*
    };
}

impl<'w> ser::Serializer for &'w mut Walk {
    type Ok = ();
    type Error = Beyond;
    type SerializeSeq = Entries<'w>;
    type SerializeTuple = Entries<'w>;
    type SerializeTupleStruct = Entries<'w>;
    type SerializeTupleVariant = Entries<'w>;
    type SerializeMap = Entries<'w>;
    type SerializeStruct = Keys<'w>;
    type SerializeStructVariant = Keys<'w>;

    whole_numbers! {
        serialize_u8 u8, u64::from;
        serialize_u16 u16, u64::from;
        serialize_u32 u32, u64::from;
        serialize_u64 u64, |n| n;
        serialize_i8 i8, |n| n.unsigned_abs().into();
        serialize_i16 i16, |n| n.unsigned_abs().into();
        serialize_i32 i32, |n| n.unsigned_abs().into();
        serialize_i64 i64, i64::unsigned_abs;
    }

    without_bound! {
        serialize_bool(bool);
        serialize_char(char);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, n: f32) -> Result<(), Beyond> {
        self.serialize_f64(n.into())
    }

    fn serialize_f64(self, n: f64) -> Result<(), Beyond> {
        match n.abs() <= most(self.holder, self.key) as f64 {
            true => Ok(()),
            false => Err(Beyond::at_last(format!(
                "{n:e} is not a number from -{MOST} to {MOST}"
            ))),
        }
    }

    fn serialize_str(self, text: &str) -> Result<(), Beyond> {
        match text.len() <= TEXT || self.key == "hdr" {
            true => Ok(()),
            false => Err(Beyond::at_last(format!(
                "a text of {} bytes is more than {TEXT}",
                text.len()
            ))),
        }
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Beyond> {
        self.entries(bytes.len()).map(|_| ())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Beyond> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Beyond> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Beyond> {
        value
            .serialize(self)
            .map_err(|beyond| beyond.under(variant))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Entries<'w>, Beyond> {
        self.entries(length.unwrap_or(0))
    }

    fn serialize_tuple(self, length: usize) -> Result<Entries<'w>, Beyond> {
        self.entries(length)
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Entries<'w>, Beyond> {
        self.entries(length)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        length: usize,
    ) -> Result<Entries<'w>, Beyond> {
        self.entries(length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Entries<'w>, Beyond> {
        self.entries(length.unwrap_or(0))
    }

    fn serialize_struct(self, holder: &'static str, _: usize) -> Result<Keys<'w>, Beyond> {
        Ok(Keys { walk: self, holder })
    }

    fn serialize_struct_variant(
        self,
        holder: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Keys<'w>, Beyond> {
        Ok(Keys { walk: self, holder })
    }
}

macro_rules! lists {
    ($($form:ident $method:ident;)*) => {
        $(impl ser::$form for Entries<'_> {
            type Ok = ();
            type Error = Beyond;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Beyond> {
                self.next(value)
            }

            fn end(self) -> Result<(), Beyond> {
                Ok(())
            }
        })*
    };
}

lists! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Beyond;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Beyond> {
        key.serialize(&mut *self.walk)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Beyond> {
        self.next(value)
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), Beyond> {
        self.serialize_key(key)?;
        value.serialize(&mut *self.walk).map_err(|beyond| {
            let key = serde_json::to_value(key).unwrap_or_default();
            beyond.under(key.as_str().unwrap_or_default())
        })
    }

    fn end(self) -> Result<(), Beyond> {
        Ok(())
    }
}

/// A number, list or text beyond its bound.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Beyond {
    /// The key, with those that lead to it: `results[3].threads`.
    pub path: String,
    /// What is there and what the most is.
    pub why: String,
}

impl Beyond {
    fn at_last(why: String) -> Self {
        Beyond {
            path: String::new(),
            why,
        }
    }

    /// The same, seen from what holds it under `key`.
    fn under(mut self, key: &str) -> Self {
        let dot = match self.path.as_str() {
            "" => "",
            path if path.starts_with('[') => "",
            _ => ".",
        };
        self.path = format!("{key}{dot}{}", self.path);
        self
    }
}

impl ser::Error for Beyond {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Beyond::at_last(why.to_string())
    }
}

macro_rules! structs {
    ($($form:ident)*) => {
        $(impl ser::$form for Keys<'_> {
            type Ok = ();
            type Error = Beyond;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Beyond> {
                self.next(key, value)
            }

            fn end(self) -> Result<(), Beyond> {
                Ok(())
            }
        })*
    };
}

structs! { SerializeStruct SerializeStructVariant }
