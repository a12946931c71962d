//! Print statistics as charts, numbers and a file, and the list of prints.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock,
    domain::{
        audit::ActorKind,
        calendar::Calendar,
        print::{JobMark, PrintActor, PrintFact, PrintResult},
        printer::PrinterDetails,
        printer_access::PrinterAccess,
    },
    service::access::Principal,
    storage::{Db, print_days, print_facts},
};
use reqwest::StatusCode;
use uuid::Uuid;

use super::{DashboardSite, header_value, send};

impl DashboardSite {
    /// Opens the server's database on a separate connection.
    async fn open_database(&self) -> Db {
        let url = format!("sqlite:{}", self._folder.path().join("test.db").display());
        Db::connect(&url).await.expect("the database")
    }
}

/// Stores prints of one hour each with these results. The first ended at `last`, and each further one an hour earlier.
async fn store_prints(db: &Db, printer: &str, results: &[PrintResult], last: DateTime<Utc>) {
    let (printer, by): (Uuid, PrintActor) = (printer.parse().expect("an id"), PrintActor::printer());
    let facts: Vec<_> = results
        .iter()
        .zip(0..)
        .flat_map(|(result, n)| {
            let (id, at) = (clock::new_id(), last - TimeDelta::hours(n));
            let ended = PrintFact::Ended { id, at, result: *result, reason: None, by, mark_after: JobMark::default() };
            [PrintFact::Began { id, file: None, at: at - TimeDelta::hours(1), by }, ended]
        })
        .map(|fact| (printer, fact))
        .collect();
    print_facts::store_facts(db, clock::new_id(), &facts, &[]).await.expect("recorded");
}

/// Returns the value of a name in the totals at the top.
fn read_total<'a>(page: &'a str, name: &str) -> &'a str {
    let from = page.split(&format!("<dt>{name}</dt><dd>")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    from.split("</dd>").next().expect("an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_shown_as_charts_and_totals() {
    let site = DashboardSite::start(2).await;
    let page = site.get_page("/statistics").await;
    assert_eq!(
        (read_total(&page, "Prints"), read_total(&page, "Success"), read_total(&page, "Print time")),
        ("0", "–", "0.0 h")
    );
    let db = site.open_database().await;
    let noon = clock::now().date_naive().and_hms_opt(12, 0, 0).expect("noon").and_utc();
    let (done, failed) = (PrintResult::Done, PrintResult::Failed);
    let results = [done, done, done, failed, PrintResult::Unknown];
    store_prints(&db, &site.ids[0], &results, noon - TimeDelta::days(2)).await;
    store_prints(&db, &site.ids[1], &[PrintResult::Cancelled], noon - TimeDelta::days(20)).await;
    // The totals are the same before and after the background task has counted the prints.
    for counted in [false, true] {
        if counted {
            assert_eq!(print_days::count_ended_prints(&db, Calendar::UTC).await.expect("counted"), 6);
        }
        let page = site.get_page("/statistics?days=7").await;
        assert_eq!(
            (read_total(&page, "Prints"), read_total(&page, "Success"), read_total(&page, "Print time")),
            ("5", "75 %", "4.0 h")
        );
        let page = site.get_page("/statistics").await;
        assert_eq!(
            (read_total(&page, "Prints"), read_total(&page, "Success"), read_total(&page, "Print time")),
            ("6", "60 %", "5.0 h")
        );
    }
    let page = site.get_page("/statistics").await;
    let day = (noon - TimeDelta::days(2)).date_naive();
    let title = format!("<title>{day}: 3 done, 1 failed, 0 cancelled, 1 end not seen</title>");
    assert!(page.contains(&title) && page.contains("class=\"bar-failed\""), "{page}");
    assert!(page.contains(&format!("<tr><th scope=\"row\">{day}</th><td class=\"num\">5</td>")), "{page}");
    assert!(page.contains("/statistics?printer=P-1\"") && page.contains("/statistics?tag=all\""), "{page}");
    assert!(page.contains("Days begin at midnight, UTC."), "{page}");
    assert!(page.contains("<td class=\"path\">No reason reported</td>"), "{page}");
    assert!(
        page.contains("/prints?printer=P-1&amp;result=failed")
            || page.contains("/prints?printer=P-1&#38;result=failed"),
        "{page}"
    );
    // No print in the 30 days before, and one in the 7 days before those that are shown.
    assert!(page.contains("nothing in the 30 days before"), "{page}");
    let two_weeks = (noon - TimeDelta::days(14)).date_naive();
    let page = site.get_page(&format!("/statistics?from={two_weeks}")).await;
    assert!(page.contains("+400 % vs. the 15 days before"), "{page}");

    let count_prints = async |query: &str| {
        let page = site.get_page(&format!("/statistics?{query}")).await;
        read_total(&page, "Prints").to_owned()
    };
    assert_eq!(
        (count_prints("printer=P-2").await, count_prints("printer=p-1").await),
        ("1".to_owned(), "5".to_owned())
    );
    assert_eq!((count_prints("tag=all").await, count_prints("tag=other").await), ("6".to_owned(), "0".to_owned()));
    let long_ago = (noon - TimeDelta::days(20)).date_naive();
    assert_eq!(count_prints(&format!("from={long_ago}&to={long_ago}")).await, "1");
    for query in ["from=2026-13-01", "from=2020-01-01", "to=2020-01-01&from=2021-01-01", "printer=nobody"] {
        let page = site.get_page(&format!("/statistics?{query}")).await;
        assert!(page.contains("role=\"alert\"") && !page.contains("class=\"sums\""), "{query}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statistics_file_contains_no_formulas() {
    let site = DashboardSite::start(1).await;
    let mut details = PrinterDetails::new("=cmd|'/c calc'!A1", "http://192.0.2.7");
    details.enabled = false;
    let principal = Principal::server_admin(ActorKind::AdminToken);
    let id = site
        .services
        .register_printer(&principal, details, PrinterAccess::default())
        .await
        .expect("registered")
        .printer
        .id
        .to_string();
    let (db, noon) =
        (site.open_database().await, clock::now().date_naive().and_hms_opt(12, 0, 0).expect("noon").and_utc());
    let removed = clock::new_id().to_string();
    for printer in [&id, &removed, &site.ids[0]] {
        store_prints(&db, printer, &[PrintResult::Done, PrintResult::Failed], noon - TimeDelta::days(10)).await;
    }
    let answer = send(site.get("/statistics.csv?days=30")).await;
    assert_eq!((answer.status(), header_value(&answer, "content-type")), (StatusCode::OK, "text/csv; charset=utf-8"));
    let name = header_value(&answer, "content-disposition").to_owned();
    assert!(name.starts_with("attachment; filename=\"printyard-20"), "{name}");
    let text = answer.text().await.expect("a file");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "day,printer,printer_id,tags,done,failed,cancelled,not_watched,printed_h,registered_h,time_zone"
    );
    let day = (noon - TimeDelta::days(10)).date_naive();
    let evil = format!("{day},'=cmd|'/c calc'!A1,{id},,1,1,0,0,2.000,0.000,UTC");
    assert!(lines.contains(&evil.as_str()), "{text}");
    assert!(lines.contains(&format!("{day},,{removed},,1,1,0,0,2.000,0.000,UTC").as_str()), "{text}");
    let only = send(site.get("/statistics.csv?tag=all")).await.text().await.expect("a file");
    assert!(!only.contains("cmd") && !only.contains(&removed) && only.contains("P-1"), "{only}");
    let bad = send(site.get("/statistics.csv?from=2020-01-01")).await;
    assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn prints_are_listed_by_printer_tag_result_and_time_back_to_the_oldest() {
    let site = DashboardSite::start(2).await;
    assert!(site.get_page("/prints").await.contains("No prints yet."));
    let (db, now) = (site.open_database().await, clock::now());
    store_prints(&db, &site.ids[0], &[PrintResult::Done; 55], now - TimeDelta::days(10)).await;
    store_prints(&db, &site.ids[1], &[PrintResult::Failed], now - TimeDelta::days(1)).await;
    store_prints(&db, &clock::new_id().to_string(), &[PrintResult::Done], now - TimeDelta::days(1)).await;
    let rows = |page: &str| page.matches(">unknown file</td>").count();
    let page = site.get_page("/prints").await;
    assert_eq!((rows(&page), page.contains("removed printer")), (50, true));
    let older = page.split('"').find(|part| part.starts_with("/prints?before=")).expect("a link to older ones");
    let page = site.get_page(older).await;
    assert_eq!((rows(&page), page.contains(">Newest<"), page.contains(">Older<")), (7, true, false));
    let day = |days: i64| (now - TimeDelta::days(days)).date_naive().to_string();
    for (query, expected) in [
        ("result=failed".to_owned(), 1),
        ("result=open".to_owned(), 0),
        ("printer=p-2".to_owned(), 1),
        ("printer=P-1&result=failed".to_owned(), 0),
        ("tag=all&result=failed".to_owned(), 1),
        ("tag=none".to_owned(), 0),
        (format!("from={}", day(3)), 2),
        (format!("to={}&printer=P-2", day(3)), 0),
        ("from=nonsense".to_owned(), 0),
        ("printer=nobody".to_owned(), 0),
    ] {
        let page = site.get_page(&format!("/prints?{query}")).await;
        assert_eq!(rows(&page), expected, "{query}: {page}");
        let is_explained =
            ["No matching prints.", "is not a date", "No printer is named"].iter().any(|said| page.contains(said));
        assert_eq!(is_explained, expected == 0, "{query}: {page}");
    }
}
