//! Numbers as a reader wants them: four significant digits, powers of ten only where plain digits would be unreadable.

/// A real minus and a space that does not break or stretch.
const MINUS: &str = "\u{2212}";
const GROUP: char = '\u{202f}';

/// `value` with four significant digits.
pub fn plain(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 {
        fixed(value, 0)
    } else if !(1e-4..1e7).contains(&size) {
        scientific(value, 3)
    } else if value.fract() == 0.0 {
        fixed(value, 0)
    } else {
        fixed(value, (3 - exponent(size)).clamp(0, 8) as usize)
    }
}

/// `value ± standard_error`, both to the second significant digit of the error.
pub fn measured(value: f64, standard_error: Option<f64>) -> String {
    match standard_error {
        Some(error) if (1e-6..1e6).contains(&error) && value.abs() < 1e7 => {
            let decimals = (1 - exponent(error)).clamp(0, 8) as usize;
            format!("{} ± {}", fixed(value, decimals), fixed(error, decimals))
        }
        Some(error) => format!("{} ± {}", plain(value), plain(error)),
        None => plain(value),
    }
}

/// A whole number, its thousands apart.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// `value` in per cent, to a tenth.
pub fn percent(value: f64) -> String {
    format!("{}{GROUP}%", fixed(100.0 * value, 1))
}

/// `value` with that many decimals, its thousands apart.
pub fn fixed(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "not a number".into();
    }
    let sign = if value < 0.0 { MINUS } else { "" };
    if value.is_infinite() {
        return format!("{sign}∞");
    }
    let digits = format!("{:.decimals$}", value.abs());
    let sign = if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) { "" } else { sign };
    match digits.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", grouped(whole)),
        None => format!("{sign}{}", grouped(&digits)),
    }
}

/// A time of so many minutes.
pub fn duration(minutes: f64) -> String {
    match minutes {
        _ if minutes < 1.0 => format!("{}{GROUP}s", fixed(60.0 * minutes, 0)),
        _ if minutes < 120.0 => format!("{}{GROUP}min", fixed(minutes, 1)),
        _ => format!("{}{GROUP}h", fixed(minutes / 60.0, 1)),
    }
}

/// `value` as a product with a power of ten.
pub fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: String = power.chars().map(superscript).collect();
    let mantissa = mantissa.replace('-', MINUS);
    if mantissa == "1" { format!("10{power}") } else { format!("{mantissa}\u{2009}×\u{2009}10{power}") }
}

/// The power of ten of the leading digit of a positive number.
fn exponent(size: f64) -> i32 {
    size.log10().floor() as i32
}

fn grouped(digits: &str) -> String {
    // Four digits read well unbroken.
    if digits.len() <= 4 {
        return digits.into();
    }
    let first = digits.len() % 3;
    let mut text = String::with_capacity(digits.len() + digits.len());
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == first {
            text.push(GROUP);
        }
        text.push(digit);
    }
    text
}

fn superscript(digit: char) -> char {
    match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4'..='9' => char::from_u32('⁴' as u32 + digit as u32 - '4' as u32).unwrap_or(digit),
        _ => '⁰',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_fits() {
        let shown = [0.05, 2.86, 300.0].map(duration).map(|text| text.replace(GROUP, " "));
        assert_eq!(shown, ["3 s", "2.9 min", "5.0 h"]);
    }

    #[test]
    fn four_significant_digits() {
        assert_eq!(plain(0.043_217), "0.04322");
        assert_eq!(plain(-2.345_67), "−2.346");
        assert_eq!(plain(12.0), "12");
        assert_eq!(plain(1234.56), "1235");
        assert_eq!(plain(0.0), "0");
        assert_eq!(plain(-0.0), "0");
        assert_eq!(plain(2.5e-9), "2.500\u{2009}×\u{2009}10⁻⁹");
        assert_eq!(plain(f64::NAN), "not a number");
        assert_eq!(plain(f64::NEG_INFINITY), "−∞");
    }

    #[test]
    fn the_error_decides_the_digits() {
        assert_eq!(measured(2.345_67, Some(0.0123)), "2.346 ± 0.012");
        assert_eq!(measured(1234.5, Some(15.0)), "1234 ± 15");
        assert_eq!(measured(0.5, Some(f64::NAN)), "0.5000 ± not a number");
        assert_eq!(measured(0.5, None), "0.5000");
    }

    #[test]
    fn counts_and_shares() {
        assert_eq!(count(1000), "1000");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(123_456), "123\u{202f}456");
        assert_eq!(percent(0.1023), "10.2\u{202f}%");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(scientific(1e-3, 0), "10⁻³");
    }
}
