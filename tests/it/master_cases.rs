//! Master files and pieces of them: good, broken and doubtful.
//!
//! Read here by our own tests, beside other parsers by `oracles`, and beside other servers' tools by the
//! example of that name. All are of the zone `example.com.`; some include `sub.zone`.

/// All fragments of files that are read beside other readers: what each is called, and its text. Broken
/// files are taken line by line; their names begin with `!`.
pub(crate) fn fragments() -> Vec<(String, String)> {
    let features = FEATURES.iter().map(|(what, text, _)| ((*what).into(), (*text).into()));
    let data = DATA.iter().flat_map(|(rtype, written, printed)| {
        let forms = if written == printed { vec![written] } else { vec![written, printed] };
        forms
            .into_iter()
            .map(move |form| (format!("{rtype} {form}"), format!("x 1 {rtype} {form}\n")))
    });
    let broken = BROKEN.iter().flat_map(|(_, text)| text.lines());
    let broken = broken.map(|line| (format!("! {line}"), format!("{line}\n")));
    features.chain(data).chain(broken).collect()
}

const WWW: &str = "www.example.com. 300 A 192.0.2.1";

/// What a feature is, a file that has it, and the records that it makes, one a line.
pub(crate) const FEATURES: &[(&str, &str, &[&str])] = &[
    ("a plain record", "www 300 IN A 192.0.2.1\n", &[WWW]),
    ("class before TTL", "www IN 300 A 192.0.2.1\n", &[WWW]),
    ("no class", "www 300 A 192.0.2.1\n", &[WWW]),
    ("no TTL", "$TTL 300\nwww IN A 192.0.2.1\n", &[WWW]),
    ("neither", "$TTL 300\nwww A 192.0.2.1\n", &[WWW]),
    ("class by number", "www 300 CLASS1 A 192.0.2.1\n", &[WWW]),
    ("words in lower case", "www 300 in a 192.0.2.1\n", &[WWW]),
    ("a directive in lower case", "$ttl 300\nwww A 192.0.2.1\n", &[WWW]),
    ("an absolute owner", "www.example.com. 300 A 192.0.2.1\n", &[WWW]),
    ("no line end at the end", "www 300 A 192.0.2.1", &[WWW]),
    ("DOS line ends", "$TTL 300\r\n\r\nwww A 192.0.2.1\r\n", &[WWW]),
    ("DOS end of file", "www 300 A 192.0.2.1\r\n\x1A", &[WWW]),
    ("a byte order mark", "\u{FEFF}www 300 A 192.0.2.1\n", &[WWW]),
    ("tabs", "www\t300\tIN\tA\t192.0.2.1\n", &[WWW]),
    ("comments", "; one\nwww 300 A 192.0.2.1;two\n ; three\n;four", &[WWW]),
    ("empty lines", "\n \n\t\nwww 300 A 192.0.2.1\n\n", &[WWW]),
    ("TTL units", "$TTL 5m\nwww A 192.0.2.1\n", &[WWW]),
    ("an apex", "@ 300 A 192.0.2.1\n", &["example.com. 300 A 192.0.2.1"]),
    (
        "the owner above",
        "$TTL 300\nwww A 192.0.2.1\n    A 192.0.2.2\n\tIN A 192.0.2.3\n",
        &[WWW, "www.example.com. 300 A 192.0.2.2", "www.example.com. 300 A 192.0.2.3"],
    ),
    ("$ORIGIN", "$ORIGIN a.example.com.\nb 1 A 192.0.2.1\n", &["b.a.example.com. 1 A 192.0.2.1"]),
    (
        "a relative $ORIGIN",
        "$ORIGIN a\n$ORIGIN b\n@ 1 A 192.0.2.1\n",
        &["b.a.example.com. 1 A 192.0.2.1"],
    ),
    (
        "a later $TTL",
        "$TTL 1h\na A 192.0.2.1\n$TTL 1w2d\nb A 192.0.2.1\nc 5 A 192.0.2.1\nd A 192.0.2.1\n",
        &[
            "a.example.com. 3600 A 192.0.2.1",
            "b.example.com. 777600 A 192.0.2.1",
            "c.example.com. 5 A 192.0.2.1",
            "d.example.com. 777600 A 192.0.2.1",
        ],
    ),
    (
        "parentheses",
        "@ 300 SOA ns1 admin ( 2024010101 ; serial\n  1h\n\t15m ;(\n\n 4w 300 )\n",
        &[
            "example.com. 300 SOA ns1.example.com. admin.example.com. 2024010101 3600 900 2419200 300",
        ],
    ),
    ("parentheses about a record", "( www\n300 A\n192.0.2.1 )\n", &[WWW]),
    ("parentheses twice in a line", "www (300) A (192.0.2.1)\n", &[WWW]),
    ("a semicolon in quotes", "t 1 TXT \"a;b (c)\"\n", &["t.example.com. 1 TXT \"a;b (c)\""]),
    (
        "several strings",
        "t 1 TXT a \"b c\"d \"\"\n",
        &["t.example.com. 1 TXT \"a\" \"b c\" \"d\" \"\""],
    ),
    ("an equals sign in a string", "t 1 TXT v=\"a b\"\n", &["t.example.com. 1 TXT \"v=\" \"a b\""]),
    ("escapes", r"t 1 TXT a\;b\032\(\065\\", &[r#"t.example.com. 1 TXT "a;b (A\\""#]),
    ("escaped quotes", r#"t 1 TXT "a\"b""#, &[r#"t.example.com. 1 TXT "a\"b""#]),
    ("UTF-8", "t 1 TXT \"é\" ü\n", &[r#"t.example.com. 1 TXT "\195\169" "\195\188""#]),
    ("control octets", "t 1 TXT \"\x01\x0b\"\n", &[r#"t.example.com. 1 TXT "\001\011""#]),
    ("escapes in names", r"a\.b\@\032 1 A 192.0.2.1", &[r"a\.b\@\032.example.com. 1 A 192.0.2.1"]),
    ("a wildcard", "*.a 1 A 192.0.2.1\n", &["*.a.example.com. 1 A 192.0.2.1"]),
    ("an apex as data", "m 1 MX 10 @\n", &["m.example.com. 1 MX 10 example.com."]),
    ("the root as data", "m 1 MX 0 .\n", &["m.example.com. 1 MX 0 ."]),
    ("case kept", "WwW 1 CNAME WEB\n", &["WwW.example.com. 1 CNAME WEB.example.com."]),
    (
        "an unknown type",
        r"u 1 TYPE65280 \# 3 0102 03",
        &[r"u.example.com. 1 TYPE65280 \# 3 010203"],
    ),
    ("no octets", r"u 1 TYPE65280 \# 0", &[r"u.example.com. 1 TYPE65280 \# 0"]),
    ("a known type by number", "www 300 TYPE1 192.0.2.1\n", &[WWW]),
    ("a known type in octets", r"www 300 A \# 4 C0000201", &[WWW]),
    ("both", "www 300 CLASS1 TYPE1 \\# 4 ( C000\n0201 )\n", &[WWW]),
    (
        "$INCLUDE",
        "$INCLUDE sub.zone\n@ A 192.0.2.1\n",
        &["www.example.com. 60 A 192.0.2.80", "example.com. 60 A 192.0.2.1"],
    ),
    (
        "$INCLUDE with an origin",
        "a 1 A 192.0.2.1\n$include \"sub.zone\" sub ; comment\n 1 A 192.0.2.2\n",
        &[
            "a.example.com. 1 A 192.0.2.1",
            "www.sub.example.com. 60 A 192.0.2.80",
            "a.example.com. 1 A 192.0.2.2",
        ],
    ),
    (
        "the same file twice",
        "$INCLUDE sub.zone a\n$INCLUDE sub.zone b\n",
        &["www.a.example.com. 60 A 192.0.2.80", "www.b.example.com. 60 A 192.0.2.80"],
    ),
    (
        "$GENERATE",
        "$GENERATE 1-2 host-$ 300 IN A 192.0.2.$\n",
        &["host-1.example.com. 300 A 192.0.2.1", "host-2.example.com. 300 A 192.0.2.2"],
    ),
    (
        "$GENERATE with step, offset, width and base",
        "$TTL 1\n$generate 10-20/10 h${-1,3}-${0,4,x} CNAME ${0,3,o}-${100}\n",
        &[
            "h009-000a.example.com. 1 CNAME 012-110.example.com.",
            "h019-0014.example.com. 1 CNAME 024-120.example.com.",
        ],
    ),
    (
        "$GENERATE with nibbles",
        "$GENERATE 30-30 ${0,7,n}.a 1 PTR x${0,2,X}\n",
        &["e.1.0.0.a.example.com. 1 PTR x1E.example.com."],
    ),
    (
        "$GENERATE with several fields",
        "$GENERATE 1-1 $ 1 MX $ m$\n$GENERATE 2-2 $ 1 MX \"$ m$\"\n",
        &["1.example.com. 1 MX 1 m1.example.com.", "2.example.com. 1 MX 2 m2.example.com."],
    ),
    (
        "$GENERATE with a plain dollar",
        "$GENERATE 1-1 a$$b$ 1 TXT c\\$d$\n",
        &[r#"a\$b1.example.com. 1 TXT "c$d1""#],
    ),
];

/// Data as it is written and as it is printed, for every type that has a text form.
pub(crate) const DATA: &[(&str, &str, &str)] = &[
    ("A", "192.0.2.1", "192.0.2.1"),
    ("AAAA", "2001:DB8::1", "2001:db8::1"),
    ("AAAA", "::ffff:192.0.2.1", "::ffff:192.0.2.1"),
    ("NS", "ns1", "ns1.example.com."),
    ("MD", "a", "a.example.com."),
    ("MF", "a", "a.example.com."),
    ("CNAME", "a.", "a."),
    ("MB", "a", "a.example.com."),
    ("MG", "a", "a.example.com."),
    ("MR", "a", "a.example.com."),
    ("PTR", "a", "a.example.com."),
    ("DNAME", "a", "a.example.com."),
    ("NSAP-PTR", "a", "a.example.com."),
    ("SOA", "a b 1 2h 3 4 5", "a.example.com. b.example.com. 1 7200 3 4 5"),
    ("NULL", r"\# 2 abcd", r"\# 2 ABCD"),
    ("WKS", "192.0.2.1 TCP ( ftp 25 smtp http )", "192.0.2.1 6 21 25 80"),
    ("WKS", r"\# 5 C000020111", "192.0.2.1 17"),
    ("HINFO", "PC-Intel-700mhz \"Red Hat\"", r#""PC-Intel-700mhz" "Red Hat""#),
    ("MINFO", "a b", "a.example.com. b.example.com."),
    ("MX", "10 mail", "10 mail.example.com."),
    ("TXT", "a b", r#""a" "b""#),
    ("SPF", "\"v=spf1 -all\"", r#""v=spf1 -all""#),
    ("NINFO", "a", r#""a""#),
    ("AVC", "a", r#""a""#),
    ("WALLET", "BTC \"bc1\"", r#""BTC" "bc1""#),
    ("RESINFO", "qnamemin exterr=15-17", r#""qnamemin" "exterr=15-17""#),
    ("RP", "admin txt", "admin.example.com. txt.example.com."),
    ("AFSDB", "1 a", "1 a.example.com."),
    ("X25", "311061700956", r#""311061700956""#),
    ("ISDN", "150862028003217 004", r#""150862028003217" "004""#),
    ("ISDN", "150862028003217", r#""150862028003217""#),
    ("RT", "2 a", "2 a.example.com."),
    ("NSAP", "0x47.0005.80.005a00", "0x47000580005A00"),
    ("PX", "10 a b", "10 a.example.com. b.example.com."),
    ("GPOS", "-32.6882 116.8652 10.0", r#""-32.6882" "116.8652" "10.0""#),
    (
        "LOC",
        "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
    ),
    ("LOC", "42 s 71 6 w 24", "42 0 0.000 S 71 6 0.000 W 24.00m 1.00m 10000.00m 10.00m"),
    ("EID", "01 02", "0102"),
    ("NIMLOC", "0102", "0102"),
    ("SRV", "0 5 5060 sip", "0 5 5060 sip.example.com."),
    (
        "NAPTR",
        r#"100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" ."#,
        r#"100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" ."#,
    ),
    ("KX", "1 a", "1 a.example.com."),
    ("CERT", "PGP 0 0 AQID", "PGP 0 0 AQID"),
    ("CERT", "65000 1 RSASHA256 AQ==", "65000 1 8 AQ=="),
    (
        "APL",
        "1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32 1:0.0.0.0/0",
        "1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32 1:0.0.0.0/0",
    ),
    ("APL", "", ""),
    (
        "DS",
        "60485 5 1 2BB183AF 5F22588179A53B0A98631FAD1A292118",
        "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
    ),
    ("CDS", "0 0 0 00", "0 0 0 00"),
    ("TA", "1 8 2 ab", "1 8 2 AB"),
    ("DLV", "1 8 2 ab", "1 8 2 AB"),
    ("SSHFP", "4 2 0123456789abcdef", "4 2 0123456789ABCDEF"),
    ("IPSECKEY", "10 1 2 192.0.2.38 AQNRU3mG", "10 1 2 192.0.2.38 AQNRU3mG"),
    ("IPSECKEY", "10 0 2 . AQNRU3mG", "10 0 2 . AQNRU3mG"),
    ("IPSECKEY", "10 3 2 gw AQNRU3mG", "10 3 2 gw.example.com. AQNRU3mG"),
    ("IPSECKEY", "10 2 0 2001:db8::1", "10 2 0 2001:db8::1"),
    (
        "RRSIG",
        "A 5 3 86400 20030322173103 20030220173103 2642 @ oJB1W6WN",
        "A 5 3 86400 20030322173103 20030220173103 2642 example.com. oJB1W6WN",
    ),
    (
        "SIG",
        "TYPE65280 RSASHA1 3 1d 1048354263 0 1 @ oJB1W6WN",
        "TYPE65280 5 3 86400 20030322173103 19700101000000 1 example.com. oJB1W6WN",
    ),
    ("NSEC", "host A MX RRSIG NSEC TYPE1234", "host.example.com. A MX RRSIG NSEC TYPE1234"),
    ("DNSKEY", "256 3 5 AQPS KmynfzW4", "256 3 5 AQPSKmynfzW4"),
    ("CDNSKEY", "0 3 0 AA==", "0 3 0 AA=="),
    ("KEY", "49152 3 0", "49152 3 0"),
    ("RKEY", "0 3 ED25519 AA==", "0 3 15 AA=="),
    (
        "DHCID",
        "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
        "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    ),
    (
        "NSEC3",
        "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
        "1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG",
    ),
    (
        "NSEC3",
        "1 0 0 - 2vptu5timamqttgl4luu9kg21e0aor3s",
        "1 0 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S",
    ),
    ("NSEC3PARAM", "1 0 0 -", "1 0 0 -"),
    ("TLSA", "3 1 1 0123abcd", "3 1 1 0123ABCD"),
    ("SMIMEA", "3 0 0 0123", "3 0 0 0123"),
    (
        "HIP",
        "2 200100107B1A74DF365639CC39F1D578 AwEAAbdx rvs1 rvs2.",
        "2 200100107B1A74DF365639CC39F1D578 AwEAAbdx rvs1.example.com. rvs2.",
    ),
    ("TALINK", "a .", "a.example.com. ."),
    ("OPENPGPKEY", "mQCNAzIG", "mQCNAzIG"),
    ("CSYNC", "66 3 A NS AAAA", "66 3 A NS AAAA"),
    ("ZONEMD", "2018031500 1 1 FEBE3D4C", "2018031500 1 1 FEBE3D4C"),
    ("DSYNC", "CDS NOTIFY 5359 cds-scanner", "CDS NOTIFY 5359 cds-scanner.example.com."),
    ("NID", "10 0014:4fff:ff20:ee64", "10 0014:4fff:ff20:ee64"),
    ("L32", "10 10.1.2.0", "10 10.1.2.0"),
    ("L64", "10 2001:db8:1140:1000", "10 2001:0db8:1140:1000"),
    ("LP", "10 l64", "10 l64.example.com."),
    ("EUI48", "00-00-5E-00-53-2a", "00-00-5e-00-53-2a"),
    ("EUI64", "00-00-5e-ef-10-00-00-2a", "00-00-5e-ef-10-00-00-2a"),
    ("URI", "10 1 \"ftp://ftp1.example.com/public\"", "10 1 \"ftp://ftp1.example.com/public\""),
    ("CAA", "0 issue \"ca.example.net; policy=ev\"", "0 issue \"ca.example.net; policy=ev\""),
    ("CAA", "128 issue \";\"", "128 issue \";\""),
    ("AMTRELAY", "10 0 1 203.0.113.15", "10 0 1 203.0.113.15"),
    ("AMTRELAY", "10 1 3 amt", "10 1 3 amt.example.com."),
    ("AMTRELAY", "128 1 0 .", "128 1 0 ."),
    ("HHIT", "AQ ID", "AQID"),
    ("BRID", "AQID", "AQID"),
    ("CLA", "TCP-v4-v6", r#""TCP-v4-v6""#),
    ("IPN", "18446744073709551615", "18446744073709551615"),
    ("DOA", "0 1 2 \"text/plain\" AQ ID", "0 1 2 \"text/plain\" AQID"),
    ("DOA", "4294967295 1 2 \"\" -", "4294967295 1 2 \"\" -"),
    ("SINK", "64 0 1 AQID", "64 0 1 AQID"),
    // ---- Service parameters (RFC 9460 appendix D and §7) ----
    ("HTTPS", "0 foo", "0 foo.example.com."),
    ("SVCB", "1 .", "1 ."),
    ("SVCB", "16 foo port=53", "16 foo.example.com. port=53"),
    ("SVCB", "1 foo key667=hello", "1 foo.example.com. key667=hello"),
    ("SVCB", r#"1 foo key667="hello\210qoo""#, r#"1 foo.example.com. key667="hello\210qoo""#),
    (
        "SVCB",
        r#"1 foo ipv6hint="2001:db8::1,2001:db8::53:1""#,
        "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
    ),
    (
        "SVCB",
        "16 foo alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
        "16 foo.example.com. mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1",
    ),
    ("SVCB", r#"16 foo alpn="f\\\\oo\\,bar,h2""#, r#"16 foo.example.com. alpn="f\\\\oo\\,bar,h2""#),
    ("SVCB", r"16 foo alpn=f\\\092oo\092,bar,h2", r#"16 foo.example.com. alpn="f\\\\oo\\,bar,h2""#),
    ("HTTPS", "1 . ( alpn=h2\n no-default-alpn )", "1 . alpn=h2 no-default-alpn"),
    ("HTTPS", "1 . ech=AEj+DQBE alpn=h2 ohttp", "1 . alpn=h2 ech=AEj+DQBE ohttp"),
    (
        "SVCB",
        "1 dns alpn=h2 dohpath=/dns-query{?dns}",
        "1 dns.example.com. alpn=h2 dohpath=/dns-query{?dns}",
    ),
    ("SVCB", r"1 . key3=\000\080", "1 . port=80"),
];

/// What is wrong, and a file in which it is.
pub(crate) const BROKEN: &[(&str, &str)] = &[
    ("an address that is none", "www 300 A 192.0.2.256\nok 300 A 192.0.2.1\n"),
    ("several errors in one file", "a 1 A x\nb 1 AAAA 1.2.3.4\nc 1 MX mail\nd 1 TXT ok\ne 1 A\n"),
    ("a field missing", "www 300 SRV 0 5 5060\n"),
    ("a field too many", "www 300 A 192.0.2.1 web server\n"),
    ("a type that is none", "www 300 AAA 192.0.2.1\n"),
    ("an unknown type", "www 300 FOO 192.0.2.1\n"),
    ("an indented owner", "$TTL 300\nwww A 192.0.2.1\n  ftp A 192.0.2.2\n"),
    ("no type", "www 300 IN\n"),
    ("no owner", "  300 A 192.0.2.1\n"),
    ("another class", "www 300 CH TXT a\n"),
    ("a question type", "www 300 ANY 192.0.2.1\n"),
    ("no TTL", "www A 192.0.2.1\nftp A 192.0.2.2\n"),
    ("a TTL that is too long", "www 2147483648 A 192.0.2.1\n"),
    ("a TTL that is none", "$TTL 1h30\nwww 1y A 192.0.2.1\n"),
    ("an owner that is none", "a..b 300 A 192.0.2.1\n"),
    (
        "a label that is too long",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg 1 A 192.0.2.1\n",
    ),
    (
        "a parenthesis that is not closed",
        "@ 300 SOA ns1 admin ( 1 2 3 4 5\nwww 300 A 192.0.2.1\nftp 300 A x\n",
    ),
    (
        "one that is not closed before the next",
        "@ 300 SOA ns1 admin (\n  1 2 3\n  4 5\nt 300 TXT (\n a b )\nftp 300 A x\n",
    ),
    ("a parenthesis that is not opened", "www 300 A 192.0.2.1 )\nftp 300 A x\n"),
    ("a string that is not closed", "t 300 TXT \"a b\nftp 300 A x\n"),
    (
        "a string that is too long",
        concat!(
            "t 300 TXT \"",
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "\"\n"
        ),
    ),
    ("an escape that is none", "t 300 TXT a\\299b\n"),
    ("an unknown directive", "$ORIGN example.org.\n$FOO\n"),
    ("directives without arguments", "$TTL\n$ORIGIN ; nothing\n$INCLUDE\n$ORIGIN a b\n"),
    ("a file that is not there", "$INCLUDE missing.zone\n"),
    ("a file that includes itself", "$INCLUDE loop.zone\n"),
    ("an error in an included file", "$INCLUDE broken.zone\nwww 300 A x\n"),
    ("generic data of another length", "u 300 TYPE65280 \\# 4 010203\n"),
    (
        "generic data that the type cannot have",
        "www 300 A \\# 3 010203\nm 300 MX \\# 4 000A C00C\n",
    ),
    ("an unknown type's data in text", "u 300 TYPE65280 hello\nv 300 NULL x\n"),
    ("hexadecimal", "d 300 DS 1 8 2 abc\ne 300 DS 1 8 2 zz\nf 300 DS 1 8 2\n"),
    ("base 64", "k 300 DNSKEY 256 3 8 AQPS=KmynfzW4\nl 300 DNSKEY 256 3 8 AQP\n"),
    ("numbers", "m 300 MX 65536 mail\nn 300 MX -1 mail\ns 300 SSHFP 256 1 ab\n"),
    ("algorithms and types", "d 300 DS 1 RSASHA3 2 ab\nn 300 NSEC @ A FOO\n"),
    ("tags", "c 300 CAA 0 is_sue \"x\"\nd 300 CAA 0 issue ;\n"),
    (
        "locations",
        "l 300 LOC 91 N 0 E 0m\nm 300 LOC 52 22 N 4 53 32.0001 E 0m\nn 300 LOC N 0 E 0\n",
    ),
    ("prefixes", "p 300 APL 1:192.0.2.0/33\nq 300 APL 2:192.0.2.0/24\n"),
    (
        "gateways",
        "i 300 IPSECKEY 10 4 2 . AQ==\nj 300 IPSECKEY 10 1 2 gw AQ==\nk 300 AMTRELAY 1 2 0 .\n",
    ),
    ("moments", "r 300 RRSIG A 8 2 300 20231301000000 20230101000000 1 @ AQ==\n"),
    (
        "service parameters",
        concat!(
            "a 300 HTTPS 1 . port=x\n",
            "b 300 HTTPS 1 . alpn=h2 alpn=h3\n",
            "c 300 HTTPS 1 . mandatory=port alpn=h2\n",
            "d 300 HTTPS 1 . mandatory=mandatory\n",
            "e 300 HTTPS 1 . no-default-alpn\n",
            "f 300 HTTPS 1 . ipv4hint=2001:db8::1\n",
            "g 300 HTTPS 1 . aplm=h2\n",
            "h 300 HTTPS 1 . alpn=\n",
            "i 300 HTTPS 1 . key03=x\n",
            "j 300 HTTPS 1 . key3=x\n",
            "k 300 HTTPS 1 . key65535=x\n",
            "l 300 HTTPS 1 . ech=\"a b\"\n",
            "m 300 SVCB 1 . dohpath=dns\n",
        ),
    ),
    (
        "$GENERATE",
        concat!(
            "$GENERATE 5-1 h$ 300 A 192.0.2.$\n",
            "$GENERATE 1-x h$ 300 A 192.0.2.$\n",
            "$GENERATE 1-3 h$ 300 A\n",
            "$GENERATE 1-3 h${0,0,q} 300 A 192.0.2.$\n",
            "$GENERATE 254-300 h$ 300 A 192.0.2.$\n",
            "$GENERATE 1-3 h${-2} 300 A 192.0.2.$\n",
            "$GENERATE 0-2147483647 h$ 300 A 192.0.2.1\n",
        ),
    ),
];

// ---- The zone as a whole ----

/// An apex in order.
pub(crate) const APEX_DATA: &str =
    "$TTL 1h\n@ SOA ns1 admin 1 4h 1h 4w 5m\n@ NS ns1\nns1 A 192.0.2.53\n";

/// What can stand below [`APEX_DATA`] without a finding.
pub(crate) const IN_ORDER: &str = concat!(
    "www A 192.0.2.1\n    A 192.0.2.2\n    AAAA 2001:db8::1\n",
    "alias CNAME www\n*.wild CNAME www\n@ MX 10 mail\nmail A 192.0.2.3\n",
    "sub NS ns.sub\nsub NS ns.other.\nns.sub A 192.0.2.4\n",
    "sub DS 1 8 1 1234567890ABCDEF1234567890ABCDEF12345678\n",
    "kin NS ns.sub\nself NS self\nself AAAA 2001:db8::2\n",
    "d DNAME other.\nd TXT beside\nsteered NS ns.elsewhere.\nx SRV 0 0 1 steered-host\n",
);

/// What is wrong with a zone as a whole, and what is to be put below [`APEX_DATA`] to make it so.
pub(crate) const DOUBTFUL: &[(&str, &str)] = &[
    ("CNAME and other data", "www CNAME a\nwww A 192.0.2.1\n"),
    ("several CNAMEs", "www CNAME a\nwww CNAME b\n"),
    ("several DNAMEs", "d DNAME a.\nd DNAME b.\n"),
    ("several SOAs", "@ SOA ns1 admin 2 4h 1h 4w 5m\n"),
    ("an SOA elsewhere", "sub SOA ns1 admin 2 4h 1h 4w 5m\n"),
    ("out of the zone", "www.example.org. A 192.0.2.1\n"),
    ("data below a DNAME", "d DNAME other.\na.b.d A 192.0.2.1\n"),
    ("different TTLs", "www 300 A 192.0.2.1\nwww 60 A 192.0.2.2\n"),
    ("missing glue", "sub NS ns.sub\n"),
    (
        "servers that each lie in the other's delegation, beside some that can be found",
        "a NS ns.b\nb NS ns.a\nc NS ns.d\nd NS ns.e\ne NS ns.e\nns.e A 192.0.2.1\n",
    ),
    ("a delegation and a DNAME", "sub NS ns.other.\nsub DNAME other.\nsub DS 1 8 200 ab\n"),
    (
        "a DS that cannot be",
        "sub NS ns.other.\nsub DS 1 8 2 ab\nwww DS 1 8 200 ab\n@ DS 1 8 200 ab\n",
    ),
    ("hidden data", "sub NS ns.other.\nsub TXT a\nwww.sub A 192.0.2.1\n"),
    ("targets that are aliases", "a CNAME www\n@ MX 1 a\nx SRV 0 0 1 a\nsub NS a\n"),
    ("the same record twice", "www A 192.0.2.1\nWWW A 192.0.2.1\n"),
    ("a dot that is missing", "@ MX 10 mail.example.com\nwww.example.com A 192.0.2.1\n"),
    ("a large set", "$GENERATE 1-101 www A 192.0.2.$\n"),
    ("a set too large", "$GENERATE 1-4200 www A \"\\# 4 C000${0,4,x}\"\n"),
];
