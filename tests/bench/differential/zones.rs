//! The zones, in forms that all servers read.
//!
//! Windrose and BIND read the files as they are in the repository. For NSD and Knot DNS, which know no
//! `$GENERATE`, BIND's `named-compilezone` writes them anew, one record a line.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use windrose::files::ZoneDirectory;
use windrose::model::{Name, Record, RecordType, Report, Zone};

use crate::programs::find_program;

/// Types that some server knows by number only, or reads in another form than BIND writes.
const BY_NUMBER: [RecordType; 9] = [
    RecordType::MB,
    RecordType::MG,
    RecordType::MR,
    RecordType::NULL,
    RecordType::X25,
    RecordType::ISDN,
    RecordType::PX,
    RecordType::NID,
    RecordType::L64,
];

/// A zone's records, as they are written.
pub(crate) struct ZoneRecords {
    pub(crate) apex: Name,
    pub(crate) records: Vec<Record>,
}

/// A zone and where it is written.
pub(crate) struct ZoneFile {
    /// The zone's name, `.` for the root.
    pub(crate) apex: String,
    /// As it is in the repository.
    pub(crate) original: PathBuf,
    /// One record a line, without directives.
    pub(crate) plain: PathBuf,
}

/// Reads the zones of `source` and lays them out in `directory`: the originals in `zones`, each called
/// like its zone.
pub(crate) fn lay_out(
    source: &Path,
    directory: &Path,
) -> io::Result<(Vec<ZoneRecords>, Vec<ZoneFile>)> {
    let originals = directory.join("zones");
    fs::create_dir_all(&originals)?;
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let apex = if stem == "root" { "." } else { &stem };
        fs::copy(&path, originals.join(format!("{apex}.zone")))?;
    }
    let mut report = Report::new();
    let zones = windrose::config::read_zones(&mut report, &ZoneDirectory::new(&originals));
    let read = |zone: &Arc<Zone>| read_records(&mut report, &originals, &zone.apex);
    let zones = zones.iter().map(read).collect::<io::Result<Vec<_>>>()?;
    if report.has_errors() {
        return Err(io::Error::other(report.render(false)));
    }
    let of_zone = |zone: &ZoneRecords| {
        let shown = zone.apex.to_string();
        let apex = if shown == "." { &shown } else { shown.trim_end_matches('.') };
        let original = originals.join(format!("{apex}.zone"));
        let plain = directory.join(format!("{apex}.plain"));
        let file = ZoneFile { apex: apex.to_owned(), original, plain };
        write_plain(zone, &file).map(|()| file)
    };
    let files = zones.iter().map(of_zone).collect::<io::Result<_>>()?;
    Ok((zones, files))
}

/// All records of the zone `apex`, also those that none of its answers shows.
fn read_records(report: &mut Report, directory: &Path, apex: &Name) -> io::Result<ZoneRecords> {
    let shown = apex.to_string();
    let stem = if shown == "." { &shown } else { shown.trim_end_matches('.') };
    let path = directory.join(format!("{stem}.zone"));
    let source = report.add_source(path.display().to_string(), fs::read_to_string(&path)?);
    let mut include =
        |_: &mut Report, _: &str| Err("the zones of this test include nothing".to_owned());
    let records = windrose::zone::read_records(report, source, apex, &mut include);
    Ok(ZoneRecords { apex: apex.clone(), records })
}

fn write_plain(zone: &ZoneRecords, file: &ZoneFile) -> io::Result<()> {
    let mut command = Command::new(find_program("named-compilezone")?);
    command.args(["-q", "-i", "none", "-k", "ignore", "-n", "ignore", "-W", "ignore"]);
    command.args(["-m", "ignore", "-M", "ignore", "-S", "ignore", "-o", "-"]);
    let output = command.arg(&file.apex).arg(&file.original).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(text));
    }
    let compiled = String::from_utf8_lossy(&output.stdout);
    let is_by_number =
        |line: &str| BY_NUMBER.iter().any(|rtype| line.contains(&format!(" IN {rtype}\t")));
    let mut plain: String =
        compiled.lines().filter(|line| !is_by_number(line)).flat_map(|line| [line, "\n"]).collect();
    for record in zone.records.iter().filter(|record| BY_NUMBER.contains(&record.rtype)) {
        plain += &by_number(record);
    }
    fs::write(&file.plain, plain)
}

/// A record in the form that needs no knowledge of its type (RFC 3597 §5).
fn by_number(record: &Record) -> String {
    let Record { owner, rtype, ttl, rdata, .. } = record;
    let mut line = format!("{owner} {ttl} IN TYPE{} \\# {} ", rtype.0, rdata.len());
    for octet in rdata {
        write!(line, "{octet:02x}").expect("a String takes all");
    }
    line + "\n"
}
