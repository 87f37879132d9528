//! Formats timestamps as dates, in UTC.
//!
//! The calendar follows Howard Hinnant, "chrono-compatible low-level date algorithms",
//! `civil_from_days`.

const MS_PER_SECOND: u64 = 1000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Date and time of day: `2024-02-29` and `12:00:00`.
pub fn format_date_and_time(ms_since_epoch: u64) -> (String, String) {
    let seconds = ms_since_epoch / MS_PER_SECOND;
    // Days since 0000-03-01: years that start in March have the leap day at their end. An era is 400
    // years, after which the calendar repeats.
    let shifted = seconds / SECONDS_PER_DAY + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let of_day = seconds % SECONDS_PER_DAY;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60),
    )
}

/// As RFC 3339 with milliseconds: `2024-02-29T12:00:00.000Z`.
pub fn format_rfc3339(ms_since_epoch: u64) -> String {
    let (date, time) = format_date_and_time(ms_since_epoch);
    format!("{date}T{time}.{:03}Z", ms_since_epoch % MS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::{format_date_and_time, format_rfc3339};

    #[test]
    fn stamps_are_dates() {
        assert_eq!(format_rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_rfc3339(1_709_208_000_007), "2024-02-29T12:00:00.007Z");
        assert_eq!(format_rfc3339(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
    }

    #[test]
    fn leap_days_follow_the_gregorian_rule() {
        let day_ms = 86_400_000;
        // 2000 is a leap year, 2100 is not.
        for (day, expected) in [
            (11_015, "2000-02-28"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(format_date_and_time(day * day_ms).0, expected);
        }
    }
}
