//! The printer registry: reading, filtering, unique names and addresses, and the data that a removal deletes.

use printyard::{
    clock::new_id,
    domain::{
        command::{Command, Outcome, Reason},
        print::JobMark,
        printer::Printer,
        production::{Production, ProductionPatch, ServiceState},
        state::PrinterState,
    },
    storage::{
        Db, Error, commands, plates,
        printer_observations::{self, PrinterObservation},
        printers::{self, ApiKeyChange, PrinterFilter, PrinterSelection, ProductionChange},
    },
};

use super::{
    databases::on_each_database,
    fixtures::{
        self, at, create_batch, full_printer, occupy_plate, read_outcome, sample_batch, sample_entry, sample_printer,
        sample_report, sample_row, sample_send, tagged_printer,
    },
};

async fn insert_printers(db: &Db, printers: &[Printer]) {
    for printer in printers {
        fixtures::insert_printer(db, printer, None, &sample_entry()).await.expect("inserted");
    }
}

fn printer_names(printers: &[Printer]) -> Vec<&str> {
    printers.iter().map(|printer| printer.details.name.as_str()).collect()
}

#[tokio::test]
async fn a_printer_reads_back_as_it_was_written() {
    on_each_database(async |db| {
        let (full, bare) = (full_printer("full"), sample_printer("bare"));
        fixtures::insert_printer(&db, &full, Some(b"sealed"), &sample_entry()).await.expect("inserted");
        fixtures::insert_printer(&db, &bare, None, &sample_entry()).await.expect("inserted");
        assert_eq!(printers::get(&db, full.id).await.expect("read").as_ref(), Some(&full));
        assert_eq!(fixtures::read_sealed_key(&db, full.id).await.expect("read").as_deref(), Some(b"sealed".as_slice()));
        assert_eq!(fixtures::read_sealed_key(&db, bare.id).await.expect("read"), None);
        let all = printers::list_printers(&db).await.expect("read");
        assert_eq!(all, [bare.clone(), full.clone()]);
        let many = printers::get_many(&db, &[full.id, new_id(), bare.id]).await.expect("read");
        assert_eq!(many, [bare, full]);
        assert_eq!(printers::get_many(&db, &[]).await.expect("read"), []);
    })
    .await;
}

#[tokio::test]
async fn a_taken_name_and_a_taken_address_are_different_errors() {
    on_each_database(async |db| {
        let (a, mut b) = (sample_printer("a"), sample_printer("b"));
        insert_printers(&db, &[a.clone(), b.clone()]).await;
        let mut same_name = sample_printer("a");
        same_name.details.url = "http://elsewhere.test".into();
        assert!(matches!(
            fixtures::insert_printer(&db, &same_name, None, &sample_entry()).await,
            Err(Error::NameTaken)
        ));
        let mut same_url = sample_printer("c");
        same_url.details.url.clone_from(&a.details.url);
        assert!(matches!(fixtures::insert_printer(&db, &same_url, None, &sample_entry()).await, Err(Error::UrlTaken)));
        b.details.name = "a".into();
        assert!(matches!(
            printers::update(&db, &b, 1, ApiKeyChange::Keep, &sample_entry()).await,
            Err(Error::NameTaken)
        ));
        // The same id again is neither of these errors, because it is a defect.
        assert!(matches!(fixtures::insert_printer(&db, &a, None, &sample_entry()).await, Err(Error::Database(_))));
        let other_case = sample_printer("A");
        fixtures::insert_printer(&db, &other_case, None, &sample_entry()).await.expect("names are case-sensitive");
    })
    .await;
}

#[tokio::test]
async fn two_changes_of_one_version_store_only_the_first() {
    on_each_database(async |db| {
        let mut printer = full_printer("a");
        fixtures::insert_printer(&db, &printer, Some(b"one"), &sample_entry()).await.expect("inserted");
        printer.version = 2;
        printer.updated_at = at(5);
        printer.details.tags = vec!["new".into()];
        printer.details.profile.model = None;
        printer.details.profile.bed_mm = None;
        assert!(printers::update(&db, &printer, 1, ApiKeyChange::Keep, &sample_entry()).await.expect("written"));
        assert!(
            !printers::update(&db, &full_printer("other"), 1, ApiKeyChange::Keep, &sample_entry())
                .await
                .expect("written")
        );
        let mut late = printer.clone();
        late.details.profile.notes = "late".into();
        late.details.tags.clear();
        assert!(!printers::update(&db, &late, 1, ApiKeyChange::Clear, &sample_entry()).await.expect("written"));
        assert_eq!(printers::get(&db, printer.id).await.expect("read").as_ref(), Some(&printer));
        let key = || async { fixtures::read_sealed_key(&db, printer.id).await.expect("read") };
        assert_eq!(key().await.as_deref(), Some(b"one".as_slice()));
        assert!(
            printers::update(&db, &printer, 2, ApiKeyChange::Set(b"two".to_vec()), &sample_entry())
                .await
                .expect("written")
        );
        assert_eq!(key().await.as_deref(), Some(b"two".as_slice()));
        assert!(printers::update(&db, &printer, 2, ApiKeyChange::Clear, &sample_entry()).await.expect("written"));
        assert_eq!(key().await, None);
    })
    .await;
}

#[tokio::test]
async fn pages_are_complete_and_repeat_nothing() {
    on_each_database(async |db| {
        let all: Vec<Printer> = (0..25).map(|i| sample_printer(&format!("p{i:02}"))).collect();
        insert_printers(&db, &all).await;
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = printers::list_page(&db, &PrinterFilter::default(), after, 10).await.expect("read");
            let Some(last) = page.last() else { break };
            after = Some((last.details.name.clone(), last.id));
            seen.extend(page);
        }
        assert_eq!(seen, all);
    })
    .await;
}

#[tokio::test]
async fn a_search_takes_its_text_literally_and_finds_only_visible_printers() {
    on_each_database(async |db| {
        let mut noted = tagged_printer("alpha", &["hall-a"]);
        noted.details.profile.notes = "runs at 100% on friday_night".into();
        let mut model = tagged_printer("beta", &["hall-b", "petg"]);
        model.details.profile.model = Some("MK4".into());
        insert_printers(&db, &[noted, model, tagged_printer("gamma", &[])]).await;
        let found = async |tag: Option<&str>, q: Option<&str>, visible: Option<&[&str]>| {
            let filter = PrinterFilter {
                tag: tag.map(str::to_owned),
                q: q.map(str::to_owned),
                visible_tags: visible.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect()),
            };
            let page = printers::list_page(&db, &filter, None, 10).await.expect("read");
            printer_names(&page).join(" ")
        };
        assert_eq!(found(None, None, None).await, "alpha beta gamma");
        assert_eq!(found(None, Some("0% on FRIDAY_"), None).await, "alpha");
        assert_eq!(found(None, Some("%"), None).await, "alpha");
        assert_eq!(found(None, Some("y_n"), None).await, "alpha");
        assert_eq!(found(None, Some("_"), None).await, "alpha");
        assert_eq!(found(None, Some("mk4"), None).await, "beta");
        assert_eq!(found(None, Some("GAMMA.test"), None).await, "gamma");
        assert_eq!(found(None, Some("\\"), None).await, "");
        assert_eq!(found(None, Some("' or 1=1 --\0"), None).await, "");
        assert_eq!(found(Some("petg"), None, None).await, "beta");
        assert_eq!(found(None, None, Some(&["hall-a", "petg"])).await, "alpha beta");
        assert_eq!(found(None, Some("a"), Some(&["petg"])).await, "beta");
        assert_eq!(found(None, None, Some(&[])).await, "");
    })
    .await;
}

#[tokio::test]
async fn a_selection_requires_all_tags_and_leaves_out_disabled_printers() {
    on_each_database(async |db| {
        let mut off = tagged_printer("off", &["a", "b"]);
        off.details.enabled = false;
        insert_printers(
            &db,
            &[off, tagged_printer("ab", &["a", "b"]), tagged_printer("ac", &["a", "c"]), tagged_printer("none", &[])],
        )
        .await;
        let list = |tags: &[&str]| -> Vec<String> { tags.iter().map(|tag| (*tag).to_owned()).collect() };
        let selected = async |all: &[&str], any: &[&str], visible: Option<&[&str]>| {
            let selection =
                PrinterSelection { tags_all: list(all), tags_any: list(any), visible_tags: visible.map(list) };
            let printers = printers::select_printers(&db, &selection).await.expect("read");
            printers.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(selected(&[], &[], None).await, "ab ac none");
        assert_eq!(selected(&["a"], &[], None).await, "ab ac");
        assert_eq!(selected(&["a", "b", "a"], &[], None).await, "ab");
        assert_eq!(selected(&["a"], &["c", "x"], None).await, "ac");
        assert_eq!(selected(&[], &["x"], None).await, "");
        assert_eq!(selected(&[], &[], Some(&["b"])).await, "ab");
        assert_eq!(selected(&[], &[], Some(&[])).await, "");
    })
    .await;
}

#[tokio::test]
async fn removing_a_printer_ends_its_commands_and_deletes_its_observations() {
    on_each_database(async |db| {
        let gone = full_printer("gone");
        let stays = full_printer("stays");
        insert_printers(&db, &[gone.clone(), stays.clone()]).await;
        let batch = sample_batch(Command::Pause);
        let mut rows: Vec<_> = (0..5).map(|position| sample_row(&batch, position)).collect();
        for row in &mut rows[..4] {
            row.printer_id = gone.id;
        }
        create_batch(&db, &batch, &rows, &sample_entry()).await.expect("created");
        let sends: Vec<_> = rows[1..4].iter().map(|row| sample_send(row.id, 1)).collect();
        commands::commit_sends(&db, &sends).await.expect("sent");
        let reports = [sample_report(rows[2].id, Outcome::Accepted), sample_report(rows[3].id, Outcome::Confirmed)];
        assert_eq!(commands::store_reports(&db, &reports, &[]).await.expect("reported").changed, 2);
        let observation = |printer: &Printer| PrinterObservation {
            printer_id: printer.id,
            state: PrinterState::Printing,
            mark: JobMark::default(),
            observed_at: at(1),
            octoprint_version: None,
        };
        printer_observations::store_observations(&db, &[observation(&gone), observation(&stays)], &[], &[])
            .await
            .expect("saved");
        occupy_plate(&db, gone.id, new_id(), at(1)).await;

        assert_eq!(
            printers::remove(&db, gone.id, at(30), &sample_entry()).await.expect("removed"),
            Some(vec![batch.id])
        );

        assert_eq!(printers::get(&db, gone.id).await.expect("read"), None);
        let expected = [
            (Outcome::Skipped, Some(Reason::PrinterRemoved)),
            (Outcome::Unknown, Some(Reason::PrinterRemoved)),
            (Outcome::Unknown, Some(Reason::PrinterRemoved)),
            (Outcome::Confirmed, None),
            (Outcome::Queued, None),
        ];
        for (row, (outcome, reason)) in rows.iter().zip(expected) {
            let row = commands::get(&db, row.id).await.expect("read").expect("a row");
            assert_eq!((row.outcome, row.reason), (outcome, reason));
        }
        assert_eq!(
            printer_observations::get_many(&db, &[gone.id, stays.id]).await.expect("read"),
            [observation(&stays)]
        );
        assert_eq!(plates::get_many(&db, &[gone.id]).await.expect("read"), []);
        // Late observations of a removed printer change nothing and cause no error.
        printer_observations::store_observations(&db, &[observation(&gone), observation(&stays)], &[], &[])
            .await
            .expect("saved");
        occupy_plate(&db, gone.id, new_id(), at(31)).await;
        assert_eq!(plates::get_many(&db, &[gone.id]).await.expect("read"), []);
        assert!(commands::commit_sends(&db, &[sample_send(rows[0].id, 1)]).await.expect("no error").is_empty());
        assert_eq!(read_outcome(&db, rows[0].id).await, Outcome::Skipped);
        fixtures::insert_printer(&db, &full_printer("gone"), None, &sample_entry())
            .await
            .expect("the name and the address are free again");
    })
    .await;
}

#[tokio::test]
async fn tags_of_many_printers_are_written_together_or_not_at_all() {
    on_each_database(async |db| {
        let mut printers: Vec<Printer> = ["a", "b", "c"].map(|name| tagged_printer(name, &["old", "own"])).into();
        insert_printers(&db, &printers).await;
        let all: Vec<_> = printers.iter().map(|printer| printer.id).collect();
        for printer in &mut printers[..2] {
            printer.details.tags = vec!["new".into(), "old".into()];
            printer.version = 2;
            printer.updated_at = at(9);
        }
        assert!(printers::retag(&db, &printers[..2], &sample_entry()).await.expect("written"));
        assert_eq!(printers::get_many(&db, &all).await.expect("read"), printers);
        // One of the two printers has another version by now.
        let mut late = printers[1..].to_vec();
        for printer in &mut late {
            printer.version = 2;
            printer.details.tags.clear();
        }
        assert!(!printers::retag(&db, &late, &sample_entry()).await.expect("refused"));
        assert_eq!(printers::get_many(&db, &all).await.expect("read"), printers);
    })
    .await;
}

#[tokio::test]
async fn the_service_state_is_set_on_all_printers_or_on_none() {
    on_each_database(async |db| {
        let mut printers = ["a", "b", "c"].map(sample_printer);
        insert_printers(&db, &printers).await;
        let all: Vec<_> = printers.iter().map(|printer| printer.id).collect();
        let production = full_printer("full").details.production;
        for printer in &mut printers[..2] {
            // The opt-in of the planner does not change.
            printer.details.production.set_service(production.clone());
            printer.version = 2;
            printer.updated_at = at(9);
        }
        let entries = [sample_entry()];
        assert!(
            printers::change_production(&db, &printers[..2], ProductionChange::Service(&production), &entries)
                .await
                .expect("written")
        );
        assert_eq!(printers::get_many(&db, &all).await.expect("read"), printers);
        // One of the two printers has another version by now.
        let late = printers[1..].iter().map(|printer| Printer { version: 2, ..printer.clone() });
        let late: Vec<Printer> = late.collect();
        let draining = Production { service: ServiceState::Draining, ..Production::default() };
        assert!(
            !printers::change_production(&db, &late, ProductionChange::Service(&draining), &entries)
                .await
                .expect("refused")
        );
        assert_eq!(printers::get_many(&db, &all).await.expect("read"), printers);
        // The opt-in changes alone.
        for printer in &mut printers[..2] {
            printer
                .details
                .production
                .apply(ProductionPatch { auto: Some(true), ..ProductionPatch::default() }, at(10));
            printer.version = 3;
            printer.updated_at = at(10);
        }
        let opt_in = ProductionChange::Auto(Some(at(10)));
        assert!(printers::change_production(&db, &printers[..2], opt_in, &entries).await.expect("written"));
        assert_eq!(printers::get_many(&db, &all).await.expect("read"), printers);
        // A single change stores it with the other fields.
        printers[0].details.production = Production::default();
        printers[0].version = 4;
        let update = printers::update(&db, &printers[0], 3, ApiKeyChange::Keep, &entries[0]).await;
        assert!(update.expect("written"));
        assert_eq!(printers::get_many(&db, &all).await.expect("read"), printers);
    })
    .await;
}

#[tokio::test]
async fn printers_are_registered_all_or_none() {
    on_each_database(async |db| {
        let new = |printer: Printer| printers::NewPrinter {
            printer,
            sealed: fixtures::sealed_with_key(b"k"),
            entry: sample_entry(),
        };
        let [a, b] = ["a", "b"].map(|name| tagged_printer(name, &["t"]));
        printers::insert(&db, &[new(a.clone()), new(b.clone())]).await.expect("inserted");
        assert_eq!(printers::get_many(&db, &[a.id, b.id]).await.expect("read"), [a.clone(), b.clone()]);
        let mut other = sample_printer("d");
        other.details.url.clone_from(&b.details.url);
        let refused = printers::insert(&db, &[new(sample_printer("c")), new(other)]).await;
        assert!(matches!(refused, Err(Error::UrlTaken)));
        assert_eq!(printers::list_printers(&db).await.expect("read").len(), 2);
    })
    .await;
}
