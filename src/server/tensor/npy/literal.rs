//! The dictionary in the header of a `.npy` file, which is a literal of Python.

use crate::error::{Error, Result};

/// What the dictionary says.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Dict {
    pub descr: String,
    pub fortran_order: bool,
    pub shape: Vec<u64>,
}

/// Reads the dictionary.
///
/// # Errors
/// `BadRequest` if it is malformed, or lacks an entry, or has one that is not known.
pub(super) fn read_dict(text: &str) -> Result<Dict> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut reader = Reader { rest: text };
    reader.expect('{')?;
    while !reader.accepts('}') {
        let key = reader.string()?;
        reader.expect(':')?;
        match key {
            "descr" if reader.next_is('[') => {
                return Err(Error::bad_request("a tensor has no fields, as the .npy file has"));
            }
            "descr" => descr = Some(reader.string()?.to_string()),
            "fortran_order" => fortran_order = Some(reader.boolean()?),
            "shape" => shape = Some(reader.tuple()?),
            other => {
                return Err(Error::bad_request(format!("the header of the .npy file has an unknown entry {other}")));
            }
        }
        if !reader.accepts(',') {
            reader.expect('}')?;
            break;
        }
    }
    reader.end()?;
    let missing = |name: &str| Error::bad_request(format!("the header of the .npy file has no entry {name}"));
    Ok(Dict {
        descr: descr.ok_or_else(|| missing("descr"))?,
        fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
    })
}

/// Reads a literal from its beginning.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Whether this is what comes next.
    fn next_is(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.starts_with(token)
    }

    /// Reads this, if it comes next.
    fn accepts(&mut self, token: char) -> bool {
        let is_next = self.next_is(token);
        if is_next {
            self.rest = &self.rest[token.len_utf8()..];
        }
        is_next
    }

    fn expect(&mut self, token: char) -> Result<()> {
        match self.accepts(token) {
            true => Ok(()),
            false => Err(self.unexpected(&token.to_string())),
        }
    }

    fn end(&mut self) -> Result<()> {
        match self.rest.trim_start().is_empty() {
            true => Ok(()),
            false => Err(self.unexpected("its end")),
        }
    }

    /// A string in either quotes. No name or dtype has any that is escaped.
    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.next_is('"') { '"' } else { '\'' };
        self.expect(quote)?;
        let (string, rest) = self.rest.split_once(quote).ok_or_else(|| self.unexpected("the end of a string"))?;
        self.rest = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    /// A tuple of whole numbers.
    fn tuple(&mut self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        self.expect('(')?;
        while !self.accepts(')') {
            numbers.push(self.number()?);
            if !self.accepts(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }

    /// A whole number. An old Python ends it with an L.
    fn number(&mut self) -> Result<u64> {
        self.rest = self.rest.trim_start();
        let len = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(len);
        let number = digits.parse::<u64>().map_err(|_| self.unexpected("a dimension"))?;
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        Ok(number)
    }

    fn unexpected(&self, expected: &str) -> Error {
        const SHOWN: usize = 20;
        let found: String = self.rest.chars().take(SHOWN).collect();
        Error::bad_request(format!("the header of the .npy file is malformed: expected {expected}, found {found:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuse(text: &str, message: &str) {
        assert_eq!(read_dict(text).unwrap_err().message(), message);
    }

    #[test]
    fn dictionaries_are_read_in_any_form() {
        let expected = Dict { descr: "<f8".into(), fortran_order: true, shape: vec![2, 3] };
        for text in [
            "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }   \n",
            "{'descr':'<f8','fortran_order':True,'shape':(2,3)}",
            " { \"shape\" : ( 2L , 3 , ) , 'fortran_order' : True , 'descr' : \"<f8\" } ",
        ] {
            assert_eq!(read_dict(text).as_ref(), Ok(&expected), "{text}");
        }
        let scalar = read_dict("{'descr': '<f8', 'fortran_order': False, 'shape': ()}").unwrap();
        assert_eq!(scalar.shape, Vec::<u64>::new());
    }

    #[test]
    fn faults_are_named() {
        let malformed = "the header of the .npy file is malformed: expected";
        refuse("", &format!("{malformed} {{, found \"\""));
        refuse("{'descr'", &format!("{malformed} :, found \"\""));
        refuse("{'descr", &format!("{malformed} the end of a string, found \"descr\""));
        refuse("{3: 4}", &format!("{malformed} ', found \"3: 4}}\""));
        refuse("{'shape': 3}", &format!("{malformed} (, found \"3}}\""));
        refuse("{'shape': (-3,)}", &format!("{malformed} a dimension, found \"-3,)}}\""));
        let large = "{'shape': (99999999999999999999,)}";
        refuse(large, &format!("{malformed} a dimension, found \"99999999999999999999\""));
        refuse("{'fortran_order': 1}", &format!("{malformed} True or False, found \"1}}\""));
        refuse("{} x", &format!("{malformed} its end, found \" x\""));
        refuse("{'descr': '<f8' 'shape'}", &format!("{malformed} }}, found \"'shape'}}\""));
        refuse("{'x': 1}", "the header of the .npy file has an unknown entry x");
        refuse("{}", "the header of the .npy file has no entry descr");
        refuse("{'descr': '<f8', 'shape': ()}", "the header of the .npy file has no entry fortran_order");
        refuse("{'descr': [('a', '<f8')]}", "a tensor has no fields, as the .npy file has");
    }
}
