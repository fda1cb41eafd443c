//! Fetching and reading on loopback.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::model::Zone;
use crate::model::feed::{Signal, Utilisation};
use crate::testing::{self, Log};

const PATIENT: Duration = Duration::from_secs(20);

/// Serves `router` on a port of its own until the test ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A zone with one endpoint at 127.0.0.1, whose pool has these feeds.
fn zone(feeds: &str, names: &str) -> Arc<Zone> {
    let text = format!(
        "zone = 'example.com'\nnameservers = ['ns1.example.net.']\n\
         [regions.eu]\nlocation = [50, 10]\n{feeds}\n\
         [pools.web]\nregion = 'eu'\nfeed = {names}\n\
         endpoints = [{{ address = '192.0.2.1' , check-address = '127.0.0.1' }}]\n\
         check = 'tcp'\n[checks.tcp]\nkind = 'tcp'\nport = 80\n\
         [steer.www]\npolicy = 'failover'\npools = ['web']\n"
    );
    testing::zones(&[("example.com.toml", &text)]).remove(0)
}

/// A schedule that reads the zone's feeds, and what it reports.
fn started(zone: &Zone) -> (Schedule, UnboundedReceiver<LoadReport>) {
    let (sender, reports) = unbounded_channel();
    let report = move |report| drop(sender.send(report));
    let mut schedule = Schedule::new(Clock::start(), Fetcher::default(), 4, report);
    schedule.set_targets(zone.feed_targets_of(crate::model::EndpointId::new(0)));
    (schedule, reports)
}

async fn next(reports: &mut UnboundedReceiver<LoadReport>) -> LoadReport {
    timeout(PATIENT, reports.recv()).await.expect("in time").expect("a report")
}

#[tokio::test]
async fn feeds_of_one_document_share_its_fetch() {
    static FETCHES: AtomicUsize = AtomicUsize::new(0);
    let metrics = || async {
        let count = FETCHES.fetch_add(1, Ordering::Relaxed);
        format!(
            "sessions{{p=\"www\"}} 30\nrequests_total {}\nerrors_total {}\n",
            count * 100,
            count * 2
        )
    };
    let address = serve(Router::new().route("/metrics", get(metrics))).await;
    let port = address.port();
    let url = format!("url = 'http://{{address}}:{port}/metrics'\ninterval = '1s'\ntimeout = '1s'");
    let zone = zone(
        &format!(
            "[feeds.sessions]\nkind = 'prometheus'\n{url}\nmetric = 'sessions'\n\
             labels = {{ p = 'www' }}\nlimit = 40\n\
             [feeds.errors]\nkind = 'prometheus'\n{url}\nmetric = 'errors_total'\n\
             value = 'rate'\nper = {{ metric = 'requests_total' }}\nbudget = '1%'\n"
        ),
        "['sessions', 'errors']",
    );
    let (schedule, mut reports) = started(&zone);
    let (mut loads, mut errors) = (0, Vec::new());
    while errors.is_empty() {
        match next(&mut reports).await.signal {
            Signal::Load(load) => {
                assert_eq!(load, Utilisation::from_millis(750));
                loads += 1;
            }
            Signal::Errors(share) => errors.push(share),
        }
    }
    // A rate needs two documents; both feeds saw both.
    assert_eq!(errors, [Utilisation::from_millis(2000)], "2 % of a budget of 1 %");
    assert!(loads >= 1 && FETCHES.load(Ordering::Relaxed) <= loads + 1);
    schedule.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_logged_once_and_not_reported() {
    let (log, _guard) = Log::capture();
    static FETCHES: AtomicUsize = AtomicUsize::new(0);
    let document = || async {
        match FETCHES.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            2 => (StatusCode::OK, "{\"load\": true}".to_owned()),
            _ => (StatusCode::OK, "{\"load\": 0.5}".to_owned()),
        }
    };
    let address = serve(Router::new().route("/load", get(document))).await;
    let zone = zone(
        &format!(
            "[feeds.load]\nkind = 'json'\nurl = 'http://{address}/load'\npath = '$.load'\n\
             limit = 1\ninterval = '1s'\n"
        ),
        "'load'",
    );
    let (schedule, mut reports) = started(&zone);
    let report = next(&mut reports).await;
    assert_eq!(report.signal, Signal::Load(Utilisation::from_millis(500)));
    assert_eq!(report.target.of, FeedOf::All);
    schedule.stop().await;
    let lines: Vec<String> =
        log.lines().into_iter().filter(|line| line.contains("load from")).collect();
    let ends =
        ["cannot be read: status 503", "can be read again", "is not a number", "can be read again"];
    let is_right = lines.iter().zip(ends).all(|(line, end)| line.ends_with(end));
    assert!(is_right && lines.len() == ends.len(), "{lines:#?}");
}

#[tokio::test]
async fn a_document_without_end_is_given_up() {
    let endless = || async { "m 1\n".repeat(3 * 1024 * 1024) };
    let address = serve(Router::new().route("/", get(endless))).await;
    let fetched = Fetcher::default().fetch(&format!("http://{address}/"), false).await;
    assert_eq!(fetched.unwrap_err().to_string(), "larger than 8 MiB");
}

#[tokio::test]
async fn only_documents_whose_feeds_changed_begin_anew() {
    let feeds = "[feeds.a]\nkind = 'json'\nurl = 'http://127.0.0.1:9/a'\npath = '$.a'\n\
                 [feeds.b]\nkind = 'json'\nurl = 'http://127.0.0.1:9/b'\npath = '$.b'\n\
                 [feeds.c]\nkind = 'push'\n[feeds.d]\nkind = 'response-time'\n";
    let feeds = feeds.replace("path = '$.a'", "path = '$.a'\nlimit = 1");
    let feeds = feeds.replace("path = '$.b'", "path = '$.b'\nlimit = 1");
    let feeds = feeds.replace("kind = 'push'", "kind = 'push'\nlimit = 1");
    let zone = zone(&feeds, "['a', 'b', 'c', 'd']");
    let targets = || zone.feed_targets_of(crate::model::EndpointId::new(0));
    let (mut schedule, _reports) = started(&zone);
    assert_eq!(schedule.running.len(), 2, "one document each of a and b");
    let ids = |schedule: &Schedule| {
        let ids = schedule.running.iter().map(|(document, r)| (document.url.clone(), r.task.id()));
        ids.collect::<HashMap<_, _>>()
    };
    let before = ids(&schedule);
    schedule.set_targets(targets());
    assert_eq!(ids(&schedule), before);
    schedule.set_targets(targets().take(1));
    assert_eq!(ids(&schedule).len(), 1);
    assert!(ids(&schedule).iter().all(|(url, id)| before.get(url) == Some(id)));
    schedule.stop().await;
}
