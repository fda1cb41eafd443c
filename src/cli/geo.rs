//! `geo`: where an address is, and which databases say so.

use std::net::IpAddr;

use serde::Serialize;

use super::explain::location_text;
use super::{Console, Exit, Failure, GeoArguments, read_server, write_json};
use crate::geo::DatabaseInfo;
use crate::load::{self, Place};
use crate::model::Report;
use crate::snapshot::explain::{Whereabouts, whereabouts_of};

pub(super) fn run(
    console: &mut Console<'_>,
    place: &Place,
    arguments: &GeoArguments,
) -> Result<Exit, Failure> {
    let config = read_server(console, place)?;
    let mut report = Report::new();
    let geo = load::load_geo(place, &config, None, &mut report);
    console.report(&report)?;
    if arguments.what == "info" {
        return write_info(console, &geo, arguments.json);
    }
    let what = &arguments.what;
    let address: IpAddr = what.parse().map_err(|_| {
        Failure::Said(Exit::Usage, format!("`{what}` is neither an IP address nor `info`"))
    })?;
    let found = whereabouts_of(&geo.atlas.locate(address));
    if arguments.json {
        write_json(console, &found)?;
    } else {
        write_found(console, address, &found)?;
    }
    Ok(if found.rows.is_empty() { Exit::Wrong } else { Exit::Fine })
}

fn write_found(
    console: &mut Console<'_>,
    address: IpAddr,
    found: &Whereabouts,
) -> Result<(), Failure> {
    writeln!(console.out, "{address}: {}", location_text(found))?;
    for (database, network) in &found.rows {
        writeln!(console.out, "  {network} of {database}")?;
    }
    Ok(())
}

/// A database for programs.
#[derive(Serialize)]
struct DatabaseReport<'a> {
    name: &'a str,
    database_type: &'a str,
    built_unix_secs: u64,
    ip_version: u16,
    gives: Vec<&'static str>,
    /// What is to be shown wherever the data is.
    attribution: Option<&'a str>,
}

impl<'a> DatabaseReport<'a> {
    fn new(info: &'a DatabaseInfo) -> Self {
        let gives = [
            (info.has_country, "countries"),
            (info.has_coordinates, "coordinates"),
            (info.has_asn, "autonomous systems"),
        ];
        Self {
            name: &info.name,
            database_type: &info.database_type,
            built_unix_secs: info.build_epoch_secs,
            ip_version: info.ip_version,
            gives: gives.into_iter().filter(|(gives, _)| *gives).map(|(_, what)| what).collect(),
            attribution: info.attribution.as_deref(),
        }
    }
}

fn write_info(console: &mut Console<'_>, geo: &load::Geo, is_json: bool) -> Result<Exit, Failure> {
    let reports: Vec<_> = geo.atlas.databases().map(DatabaseReport::new).collect();
    if is_json {
        return write_json(console, &reports);
    }
    if reports.is_empty() {
        writeln!(console.out, "no databases: clients are told apart by `where` subnets only")?;
    }
    for report in &reports {
        let built = date_of(report.built_unix_secs / SECS_OF_A_DAY);
        let families = if report.ip_version == 6 { "IPv4 and IPv6" } else { "IPv4" };
        let gives = report.gives.join(", ");
        writeln!(console.out, "{}: {}, built {built}", report.name, report.database_type)?;
        writeln!(console.out, "  {gives} for {families}")?;
        if let Some(attribution) = report.attribution {
            writeln!(console.out, "  {attribution}")?;
        }
    }
    Ok(Exit::Fine)
}

const SECS_OF_A_DAY: u64 = 86400;

/// The date so many days after 1970-01-01, in the Gregorian calendar: `2026-06-05`.
fn date_of(days: u64) -> String {
    // Years that begin in March have their leap day at the end; 400 of them are 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let cases =
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_609, "2026-06-05")];
        for (days, date) in cases {
            assert_eq!(date_of(days), date);
        }
    }
}
