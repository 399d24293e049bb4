//! Dates of servers. Those of files decide whether versions are the same, and are read strictly; those of cookies have many
//! forms. Pure, but for a memory of what was read last.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::UNIX_EPOCH;

use jiff::civil;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const BYTES_MAX: usize = 100;

thread_local! {
    /// The dates that were read last: those of one response are asked for several times, and those of many are the same.
    static LAST: RefCell<[(String, Option<u64>); 2]> = RefCell::default();
}

/// The seconds since 1970 of a date of HTTP (RFC 9110, section 5.6.7), also with a wrong day of the week, or with `+0000`
/// for `GMT`; `None` if it is none.
pub(crate) fn http_seconds(text: &str) -> Option<u64> {
    if text.len() > BYTES_MAX {
        return None;
    }
    LAST.with_borrow_mut(|last| {
        if let Some((_, seconds)) = last.iter().find(|(known, _)| known == text) {
            return *seconds;
        }
        let seconds = read_http(text);
        last.swap(0, 1);
        last[0].0.clear();
        last[0].0.push_str(text);
        last[0].1 = seconds;
        seconds
    })
}

fn read_http(text: &str) -> Option<u64> {
    let text = match text.strip_suffix("+0000") {
        Some(text) => Cow::Owned(format!("{text}GMT")),
        None => Cow::Borrowed(text),
    };
    let with_days = || {
        let date = text.split_once(", ").map_or("", |(_, date)| date);
        DAYS.iter().find_map(|day| httpdate::parse_http_date(&format!("{day}, {date}")).ok())
    };
    let time = httpdate::parse_http_date(&text).ok().or_else(with_days)?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// The seconds since 1970 of a cookie's date (RFC 6265, section 5.1.1): a time, a day, a month and a year, in any order.
/// Days of the week and zones are passed over; the zone is UTC. `None` if the text is no date.
pub(crate) fn cookie_seconds(text: &str) -> Option<i64> {
    let text = text.get(..BYTES_MAX.min(text.len()))?;
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        match () {
            () if time.is_none() && time_of(token).is_some() => time = time_of(token),
            () if day.is_none() && number(token, 1, 2).is_some() => day = number(token, 1, 2),
            () if month.is_none() && month_of(token).is_some() => month = month_of(token),
            () if year.is_none() && number(token, 2, 4).is_some() => year = number(token, 2, 4),
            () => {}
        }
    }
    let (hour, minute, second) = time?;
    let year = match year? {
        year @ 0..=69 => year + 2000,
        year @ 70..=99 => year + 1900,
        year => year,
    };
    let date = civil::DateTime::new(year, month?, i8::try_from(day?).ok()?, hour, minute, second, 0).ok()?;
    (year >= 1601).then_some(())?;
    Some(TimeZone::UTC.to_timestamp(date).ok()?.as_second())
}

fn is_delimiter(char: char) -> bool {
    !(char.is_ascii_alphanumeric() || char == ':' || !char.is_ascii() || char.is_ascii_control() && char != '\t')
}

/// The number with which a token begins, if it has so many digits.
fn number(token: &str, least: usize, most: usize) -> Option<i16> {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    token[..digits].parse().ok().filter(|_| (least..=most).contains(&digits))
}

fn time_of(token: &str) -> Option<(i8, i8, i8)> {
    let mut parts = token.splitn(3, ':').map(|part| number(part, 1, 2).and_then(|part| i8::try_from(part).ok()));
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn month_of(token: &str) -> Option<i8> {
    let beginning = token.get(..3)?;
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(beginning))?;
    i8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_cookies_are_read_in_any_form() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("\"06 November 1994 8:49:37 +0000\"", Some(784_111_777)),
            ("Thu Jan 1 00:00:01 GMT 1970", Some(1)),
            ("Thu, 31 Feb 2030 00:00:00 GMT", None),
            ("Thu, 01 Jan 2030 25:00:00 GMT", None),
            ("01 Jan 2030", None),
            ("1234567", None),
            ("", None),
        ] {
            assert_eq!(cookie_seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_of_files_are_read_strictly_but_for_the_day_of_the_week() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sun, 06 Nov 1994 08:49:37 +0000", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Mon, 01 Jan 0001 00:00:00 GMT", None),
            ("Sun, 06 Nov 0094 08:49:37 GMT", None),
            ("Tue, -7 May 2024 10:20:30 GMT", None),
            ("Tue, 07 May 2024 05:20:30 EST", None),
            ("Tue, 07 May 2024 05:20:30 -0500", None),
            ("06 Nov 1994 08:49:37", None),
        ] {
            assert_eq!(http_seconds(text), expected, "{text}");
        }
    }
}
