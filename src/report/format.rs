//! Figures and names as people read them: the same way in every table, plot and file name.

use crate::record::schema::ClockRecord;
use crate::record::unit::Unit;
use crate::stats::effect::Effect;
use crate::stats::interval::Interval;

/// A whole number with its thousands apart: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A difference as a whole number with its sign: `+1,234`, `-56`, `0`.
pub fn signed(x: f64) -> String {
    let size = count(x.abs().round() as u64);
    match x.round() {
        x if x > 0.0 => format!("+{size}"),
        x if x < 0.0 => format!("-{size}"),
        _ => size,
    }
}

/// An interval of differences: `-56 to +1,234`.
pub fn signed_interval(interval: Interval) -> String {
    format!("{} to {}", signed(interval.low), signed(interval.high))
}

/// A number with three significant digits, never in exponent form: `0.0123`, `1.23`, `1,230`.
pub fn figure(x: f64) -> String {
    if !x.is_finite() {
        return x.to_string();
    }
    let size = x.abs();
    if size < 0.000_05 {
        if x > 0.0 {
            "<0.0001".into()
        } else {
            "0".into()
        }
    } else if size < 0.0995 {
        format!("{x:.4}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .into()
    } else if size < 9.995 {
        format!("{x:.2}")
    } else if size < 99.95 {
        format!("{x:.1}")
    } else {
        format!(
            "{}{}",
            if x < 0.0 { "-" } else { "" },
            count(size.round() as u64)
        )
    }
}

/// A time given in ns, in the unit that suits it: `712 ns`, `1.71 µs`, `12.3 ms`.
pub fn duration(ns: f64) -> String {
    let (scale, unit) = match ns.abs() {
        x if x < 999.5 => (1.0, "ns"),
        x if x < 999_500.0 => (1e3, "µs"),
        x if x < 999_500_000.0 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let scaled = ns / scale;
    let text = if ns.fract() == 0.0 && scale == 1.0 {
        count(ns as u64)
    } else {
        figure(scaled)
    };
    format!("{text} {unit}")
}

/// A latency with its unit.
pub fn latency(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ns => duration(value),
        Unit::Instructions => format!("{} instructions", count(value.round() as u64)),
    }
}

/// Where timestamps come from and how often they tick.
pub fn clock(clock: &ClockRecord, unit: Unit) -> String {
    let instructions = 1e9 / clock.hz;
    match unit {
        Unit::Ns => format!("{}, {:.3} MHz", clock.source, clock.hz / 1e6),
        Unit::Instructions if instructions == 1.0 => {
            format!("{}, a tick an instruction", clock.source)
        }
        Unit::Instructions => format!("{}, a tick each {instructions} instructions", clock.source),
    }
}

/// A share in percent. Only all of them is `100 %` and only none of them is `0 %`.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none".into();
    }
    if part == whole {
        return "100 %".into();
    }
    let percent = 100.0 * part as f64 / whole as f64;
    match percent {
        _ if part == 0 => "0 %".into(),
        p if p < 0.01 => "<0.01 %".into(),
        p if p > 99.99 => ">99.99 %".into(),
        p if !(1.0..99.0).contains(&p) => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// An amount of memory: `7.8 GiB`.
pub fn bytes(n: u64) -> String {
    match n as f64 {
        b if b >= 1024.0 * 1024.0 * 1024.0 => format!("{:.1} GiB", b / 1024.0f64.powi(3)),
        b => format!("{:.1} MiB", b / 1024.0f64.powi(2)),
    }
}

/// A name that is safe as a file name and as an anchor on every system: ASCII letters, digits, dot, dash and
/// underscore, at most 80 of them, and not beginning with a dot.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            c
        } else {
            '-'
        };
        if !(matches!(c, '-' | '.') && slug.ends_with(c)) && slug.len() < 80 {
            slug.push(c);
        }
    }
    let slug = slug.trim_matches(|c| c == '-' || c == '.');
    if slug.is_empty() {
        "unnamed".into()
    } else {
        slug.into()
    }
}

/// The text with its middle left out, where it is longer than `most` characters.
pub fn shorten(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.into();
    }
    let head = most.saturating_sub(1).div_ceil(2);
    let tail = most.saturating_sub(1) - head;
    text.chars()
        .take(head)
        .chain(['…'])
        .chain(text.chars().skip(length - tail))
        .collect()
}

/// A field of comma-separated values, in quotes where it holds what would end it. One that a spreadsheet would take for
/// a formula is made text.
pub fn csv_field(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '@'])
        || (field.starts_with('-') && field.parse::<f64>().is_err());
    let field = if formula {
        format!("'{field}")
    } else {
        field.to_string()
    };
    match field.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

/// A ratio with the interval that decides.
pub fn ratio(effect: &Effect) -> String {
    match effect.interval {
        Some(interval) => format!("{:.3} {interval:.3}", effect.change),
        None => format!("{:.3} [-]", effect.change),
    }
}

/// A change that can be found, rounded up.
pub fn change(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        p if p < 1.0 => format!("{:.2} %", (p * 100.0).ceil() / 100.0),
        p => format!("{:.1} %", (p * 10.0).ceil() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_carry_the_unit_that_suits_them() {
        for (ns, text) in [
            (20.0, "20 ns"),
            (19.8, "19.8 ns"),
            (712.0, "712 ns"),
            (999.0, "999 ns"),
            (1_000.0, "1.00 µs"),
            (1_712.0, "1.71 µs"),
            (45_678.0, "45.7 µs"),
            (12_345_678.0, "12.3 ms"),
            (2_000_000_000.0, "2.00 s"),
        ] {
            assert_eq!(duration(ns), text);
        }
        assert_eq!(latency(1_556.0, Unit::Instructions), "1,556 instructions");
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        assert_eq!(share(10, 10), "100 %");
        assert_eq!(share(999_999, 1_000_000), ">99.99 %");
        assert_eq!(share(9_997, 10_000), "99.97 %");
        assert_eq!(share(1, 1_000_000), "<0.01 %");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(0, 3), "0 %");
        assert_eq!(share(0, 0), "none");
    }

    #[test]
    fn figures_keep_three_digits() {
        for (x, text) in [
            (0.0, "0"),
            (0.000_01, "<0.0001"),
            (0.0123, "0.0123"),
            (1.0, "1.00"),
            (23.456, "23.5"),
            (1_234.5, "1,235"),
            (-5.0, "-5.00"),
        ] {
            assert_eq!(figure(x), text);
        }
    }

    #[test]
    fn shortened_text_keeps_both_ends() {
        assert_eq!(shorten("extra-ref/vmsplice-then-fork", 11), "extra…-fork");
        assert_eq!(shorten("short", 11), "short");
    }

    #[test]
    fn fields_are_quoted_where_they_must_be_and_never_formulas() {
        for (field, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"\n", "\"say \"\"x\"\"\n\""),
            ("=cmd()", "'=cmd()"),
            ("-5", "-5"),
            ("-5+x", "'-5+x"),
        ] {
            assert_eq!(csv_field(field), written);
        }
    }
    proptest! {
        #[test]
        fn a_slug_is_a_plain_file_name(name in any::<String>()) {
            let slug = slug(&name);
            prop_assert!(!slug.is_empty() && slug.len() <= 80 && !slug.starts_with('.'));
            prop_assert!(slug.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
            prop_assert!(!slug.contains(".."), "{}", slug);
        }

        #[test]
        fn thousands_come_apart_and_together_again(n in any::<u64>()) {
            prop_assert_eq!(count(n).replace(',', ""), n.to_string());
        }
    }

    #[test]
    fn names_of_scenarios_stay_readable_in_file_names() {
        assert_eq!(slug("reuse/child-exited"), "reuse-child-exited");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
    }
}
