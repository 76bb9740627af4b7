//! Tables as text. The delimiter is the one of comma, semicolon, tab and bar that the first line has most of; a first line
//! with a field that is not a number is the header. A column called `label`, `class`, `target` or `y` holds the classes, as
//! whole numbers or as names; every other field must be a finite number.

use std::io::{BufRead, BufReader, Read};

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::{Dataset, Error, Result, Table, load};

fn wrong(what: impl Into<String>) -> Error {
    Error::format("CSV table", what)
}

/// Reads a table from text.
///
/// # Errors
/// If a line has another number of fields than the first, or a field is not a finite number.
pub fn parse(name: &str, text: impl Read) -> Result<Dataset> {
    let mut text = BufReader::new(text);
    let start = text.fill_buf().map_err(|error| wrong(error.to_string()))?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let delimiter = sniff(start);
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).trim(Trim::All).from_reader(text);
    let mut records = reader.records();
    let first = match records.next() {
        None => return Err(wrong("it is empty")),
        Some(record) => record.map_err(|error| wrong(error.to_string()))?,
    };

    let has_header = first.iter().any(|field| field.parse::<f32>().is_err());
    let names: Vec<String> = match has_header {
        true => first.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect(),
        false => (0..first.len()).map(|column| format!("x{column}")).collect(),
    };
    let label_column = names.iter().position(|name| load::is_label(name)).filter(|_| has_header);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let mut take = |record: &StringRecord| {
        for (column, field) in record.iter().enumerate() {
            if Some(column) == label_column {
                labels.push(field.to_owned());
            } else {
                let line = record.position().map_or(0, csv::Position::line);
                let value = field.parse::<f32>().ok().filter(|value| value.is_finite());
                let what =
                    || wrong(format!("line {line}, column `{}`: `{field}` is not a finite number", names[column]));
                values.push(value.ok_or_else(what)?);
            }
        }
        Ok(())
    };
    if !has_header {
        take(&first)?;
    }
    for record in records {
        take(&record.map_err(|error| wrong(error.to_string()))?)?;
    }
    let labels = label_column.map(|_| load::classes(&labels)).transpose()?;
    let columns = names.into_iter().enumerate().filter(|&(i, _)| Some(i) != label_column).map(|(_, name)| name);
    Table::new(name, columns.collect(), values, labels).map(Dataset::Table)
}

/// The delimiter that the first line has most of; comma if it has none.
fn sniff(start: &[u8]) -> u8 {
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
    // The last of equals wins `max_by_key`, so comma comes last.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        let Dataset::Table(table) = parse("t", text.as_bytes()).unwrap() else { panic!("not a table") };
        table
    }

    #[test]
    fn delimiters_headers_and_classes() {
        for text in ["1,2\n3,4.5\n", "1;2\r\n3;4.5", "1\t2\n3\t4.5", "1 | 2\n3 | 4.5\n"] {
            assert_eq!(table(text).values(), [1.0, 2.0, 3.0, 4.5], "{text}");
            assert_eq!(table(text).columns(), ["x0", "x1"]);
        }
        let named = table("\u{feff}height,label,weight\n1,dog,2\n3,cat,4\n5,dog,-6e-1\n");
        assert_eq!(named.columns(), ["height", "weight"]);
        assert_eq!(named.values(), [1.0, 2.0, 3.0, 4.0, 5.0, -0.6]);
        assert_eq!(named.labels().unwrap().classes(), ["cat", "dog"]);
        assert_eq!(named.labels().unwrap().rows(), [1, 0, 1]);
        assert_eq!(table("a,y\n0.5,2\n0.5,0\n").labels().unwrap().rows(), [2, 0]);
        assert_eq!(table("7\n8\n").values(), [7.0, 8.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in
            ["", "1,2\n3\n", "1,2\n3,x\n", "1,2\n3,\n", "1,inf\n", "a,b\n1,nan\n", "label\n3\n", "\"1,2\nx\"\n3,4"]
        {
            assert!(parse("t", text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse("t", b"a,b\n1,x\n".as_slice()).unwrap_err().to_string().contains("line 2, column `b`: `x`"));
        assert!(parse("t", b"a\n\xff\xfe\n".as_slice()).is_err());
    }
}
