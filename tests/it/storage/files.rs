//! Library files and contents on printers: names, versions, searches, and what may be deleted.

use printyard::{
    clock::new_id,
    domain::{
        command::{Command, CommandRow, LibraryContent, Outcome, StartFile},
        file::{AnalysisState, Content, FileFilter, FileFormat, FileOverrides, LibraryFile},
        gcode::{ExtrusionCurve, GcodeFacts, Slicer, ToolFacts},
        message::Message,
        printer_content::{PrinterContent, PrinterContentState},
    },
    storage::{
        Db, Error, commands,
        files::{self, ContentParts, FileRemoval, PrintText, Thumbnail},
        printer_contents,
    },
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{at, create_batch, insert_printer, sample_batch, sample_entry, sample_printer},
};

fn hash(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

fn sample_content(n: u8) -> Content {
    let tool = ToolFacts { tool: 0, material: Some("PÄTG\0".into()), filament_g: Some(3.5), ..ToolFacts::default() };
    Content {
        sha256: hash(n),
        size: 1_000 + u64::from(n),
        format: FileFormat::Bgcode,
        print_size: 2_000,
        print_sha1: "ab".repeat(20),
        analysis: AnalysisState::Done,
        facts: GcodeFacts {
            slicer: Some(Slicer { name: "PrusaSlicer".into(), version: None }),
            printer_model: Some("MK4".into()),
            tools: vec![tool],
            ..GcodeFacts::default()
        },
        thumbnails: vec![(16, 16), (220, 124)],
    }
}

fn sample_file(folder: &str, name: &str, n: u8) -> LibraryFile {
    LibraryFile {
        id: new_id(),
        name: name.into(),
        folder: folder.into(),
        content: sample_content(n),
        overrides: FileOverrides::default(),
        version: 1,
        created_at: at(0),
        updated_at: at(i64::from(n)),
        created_by: "anna".into(),
    }
}

fn parts() -> ContentParts {
    let thumbnail =
        |width, height| Thumbnail { width, height, png: vec![u8::try_from(width % 256).expect("a byte"); 3] };
    let extrusion = ExtrusionCurve { mm: vec![1.0, 2.5], ..ExtrusionCurve::default() };
    ContentParts { thumbnails: vec![thumbnail(16, 16), thumbnail(220, 124)], extrusion }
}

async fn put(db: &Db, file: &LibraryFile) -> bool {
    files::put(db, file, &parts(), &sample_entry()).await.expect("stored")
}

/// Returns the file as it is read: PostgreSQL cannot store U+0000.
fn stored(file: &LibraryFile) -> LibraryFile {
    let mut file = file.clone();
    for tool in &mut file.content.facts.tools {
        tool.material = tool.material.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
    }
    file
}

#[tokio::test]
async fn a_file_is_read_as_it_was_stored_and_its_versions_follow_each_other() {
    on_each_database(async |db| {
        let file = sample_file("parts/left", "Bügel 'a'.bgcode", 1);
        assert!(put(&db, &file).await);
        assert_eq!(files::get(&db, file.id).await.expect("read"), Some(stored(&file)));
        assert_eq!(files::get_by_name(&db, "parts/left", "Bügel 'a'.bgcode").await.expect("read"), Some(stored(&file)));
        assert_eq!(files::get_many(&db, &[file.id, new_id()]).await.expect("read"), [stored(&file)]);
        assert_eq!(files::list_by_content(&db, &[hash(1), hash(9)]).await.expect("read"), [stored(&file)]);
        assert_eq!(files::thumbnail(&db, &hash(1), (220, 124)).await.expect("read"), Some(vec![220; 3]));
        assert_eq!(files::thumbnail(&db, &hash(1), (1, 1)).await.expect("read"), None);
        let text = PrintText { format: FileFormat::Bgcode, size: 2_000, sha1: "ab".repeat(20) };
        assert_eq!(files::get_print_text(&db, &hash(1)).await.expect("read"), Some(text));
        assert_eq!(files::get_print_text(&db, &hash(9)).await.expect("read"), None);
        let sliced_again = LibraryFile { content: sample_content(2), version: 2, updated_at: at(5), ..file.clone() };
        assert!(put(&db, &sliced_again).await);
        assert!(!put(&db, &sliced_again).await, "another request has changed it");
        assert!(!put(&db, &sample_file("parts/left", "Bügel 'a'.bgcode", 3)).await, "another id");
        assert_eq!(files::get(&db, file.id).await.expect("read"), Some(stored(&sliced_again)));
        assert_eq!(files::total_size(&db).await.expect("read"), 1_001 + 1_002);
        let mut contents = files::list_contents(&db).await.expect("read");
        contents.sort();
        assert_eq!(contents, [hash(1), hash(2)]);
    })
    .await;
}

#[tokio::test]
async fn files_are_found_by_text_folder_slicer_and_model_and_paged() {
    on_each_database(async |db| {
        let all = [
            sample_file("", "a_b.gcode", 1),
            sample_file("Übungen", "C%.gcode", 2),
            sample_file("Übungen", "d.gcode", 3),
        ];
        for file in &all {
            assert!(put(&db, file).await);
        }
        let corrected = LibraryFile {
            overrides: FileOverrides { printer_model: Some("MK4S".into()), ..FileOverrides::default() },
            version: 2,
            ..all[2].clone()
        };
        assert!(files::update(&db, &corrected, &sample_entry()).await.expect("stored"));
        assert!(!files::update(&db, &corrected, &sample_entry()).await.expect("no error"), "a stale version");
        let taken = LibraryFile { folder: String::new(), name: "a_b.gcode".into(), version: 3, ..corrected.clone() };
        assert!(matches!(files::update(&db, &taken, &sample_entry()).await, Err(Error::NameTaken)));
        let filter = FileFilter::default();
        for (filter, expected) in [
            (FileFilter { text: Some("A_B".into()), ..filter.clone() }, 1),
            (FileFilter { text: Some("%".into()), ..filter.clone() }, 1),
            (FileFilter { text: Some("übung".into()), ..filter.clone() }, 2),
            (FileFilter { folder: Some(String::new()), ..filter.clone() }, 1),
            (FileFilter { sha256: Some(hash(2)), ..filter.clone() }, 1),
            (FileFilter { slicer: Some("PRUSASLICER".into()), ..filter.clone() }, 3),
            (FileFilter { printer_model: Some("mk4".into()), ..filter.clone() }, 2),
            (FileFilter { printer_model: Some("mk4s".into()), ..filter.clone() }, 1),
        ] {
            let found = files::list_page(&db, &filter, None, 10).await.expect("read");
            assert_eq!(found.len(), expected, "{filter:?}");
        }
        let first = files::list_page(&db, &filter, None, 2).await.expect("read");
        let names = |files: &[LibraryFile]| files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&first), ["d.gcode", "C%.gcode"], "the newest content first");
        let rest = files::list_page(&db, &filter, Some((first[1].updated_at, first[1].id)), 2).await.expect("read");
        assert_eq!(names(&rest), ["a_b.gcode"]);
        let folders = files::list_folders(&db).await.expect("read");
        let folders: Vec<_> = folders.iter().map(|folder| (folder.folder.as_str(), folder.files)).collect();
        assert_eq!(folders, [("", 1), ("Übungen", 2)]);
    })
    .await;
}

/// Stores a start of a content on a new printer. Returns the printer and the command.
async fn create_start(db: &Db, file: &LibraryFile) -> (Uuid, Uuid) {
    let printer = sample_printer(&format!("p{}", new_id().simple()));
    insert_printer(db, &printer, None, &sample_entry()).await.expect("registered");
    let batch = sample_batch(Command::Start);
    let content = LibraryContent {
        file_id: file.id,
        sha256: file.content.sha256.clone(),
        name: file.name.clone(),
        print_size: file.content.print_size,
    };
    let row = CommandRow::queued(new_id(), batch.id, printer.id, printer.details.name.clone(), Command::Start);
    let row = CommandRow { file: Some(StartFile::InLibrary(content)), ..row };
    create_batch(db, &batch, std::slice::from_ref(&row), &sample_entry()).await.expect("created");
    assert_eq!(commands::get(db, row.id).await.expect("read").and_then(|row| row.file), row.file);
    (printer.id, row.id)
}

#[tokio::test]
async fn a_content_stays_while_a_file_or_an_open_command_names_it() {
    on_each_database(async |db| {
        let [named, awaited, unused] = [sample_file("", "a", 1), sample_file("", "b", 2), sample_file("", "c", 3)];
        for file in [&named, &awaited, &unused] {
            assert!(put(&db, file).await);
        }
        let (printer_id, command_id) = create_start(&db, &awaited).await;
        let waiting = printer_contents::list_awaited(&db).await.expect("read");
        assert_eq!(
            waiting.iter().map(|one| (one.printer_id, one.command_id)).collect::<Vec<_>>(),
            [(printer_id, command_id)]
        );
        assert_eq!(files::remove(&db, awaited.id, &sample_entry()).await.expect("no error"), FileRemoval::InUse);
        assert_eq!(files::remove(&db, unused.id, &sample_entry()).await.expect("removed"), FileRemoval::Removed);
        assert_eq!(files::remove(&db, unused.id, &sample_entry()).await.expect("no error"), FileRemoval::NotFound);
        assert_eq!(files::delete_unused_contents(&db, at(0)).await.expect("no error"), [""; 0], "too young");
        assert_eq!(files::delete_unused_contents(&db, at(100)).await.expect("deleted"), [hash(3)]);
        assert_eq!(files::thumbnail(&db, &hash(3), (16, 16)).await.expect("read"), None);
        let ended = commands::end_queued(&db, &[command_id], Outcome::Skipped, None, None, at(9)).await;
        assert_eq!(ended.expect("ended").len(), 1);
        assert_eq!(printer_contents::list_awaited(&db).await.expect("read"), []);
        assert_eq!(files::remove(&db, awaited.id, &sample_entry()).await.expect("removed"), FileRemoval::Removed);
        assert_eq!(files::delete_unused_contents(&db, at(100)).await.expect("deleted"), [hash(2)]);
        assert_eq!(files::known_contents(&db, &[hash(1), hash(2)]).await.expect("read"), [hash(1)]);
    })
    .await;
}

fn sample_on_printer(printer_id: Uuid, n: u8, state: PrinterContentState) -> PrinterContent {
    PrinterContent {
        printer_id,
        sha256: hash(n),
        name: "a.gcode".into(),
        print_size: 2_000,
        path: Some(format!("printyard/{}/a.gcode", hash(n))),
        state,
        select_after: true,
        requested_by: Some("anna".into()),
        detail: Some(Message::new("refusal-internal")),
        updated_at: at(0),
    }
}

#[tokio::test]
async fn a_file_on_a_printer_is_unneeded_when_nothing_names_it_or_it_was_not_used_for_long() {
    on_each_database(async |db| {
        let [kept, awaited] = [sample_file("", "a", 1), sample_file("", "b", 2)];
        assert!(put(&db, &kept).await && put(&db, &awaited).await);
        let (printer_id, _) = create_start(&db, &awaited).await;
        let other = new_id();
        let present = PrinterContentState::Present;
        let rows = [
            sample_on_printer(printer_id, 1, present),
            sample_on_printer(printer_id, 2, present),
            sample_on_printer(printer_id, 3, present),
            sample_on_printer(printer_id, 4, PrinterContentState::Queued),
            sample_on_printer(other, 3, PrinterContentState::Failed),
            sample_on_printer(other, 5, present),
        ];
        printer_contents::put_many(&db, &rows).await.expect("stored");
        let mut of_3 = vec![rows[2].clone(), rows[4].clone()];
        of_3.sort_by_key(|row| row.printer_id);
        assert_eq!(printer_contents::list_by_content(&db, &hash(3)).await.expect("read"), of_3);
        assert_eq!(printer_contents::list_unfinished(&db).await.expect("read"), [rows[3].clone()]);
        let present = printer_contents::list_present(&db, &[hash(1), hash(3)]).await.expect("read");
        assert_eq!(present.len(), 2);
        let selected = [format!("printyard/{}/a.gcode", hash(5))];
        let marked = printer_contents::mark_unneeded(&db, &selected, at(-9), at(1)).await.expect("marked");
        assert_eq!(marked, 2, "both files of a content that the library does not have");
        let removing: Vec<_> = printer_contents::list_unfinished(&db).await.expect("read");
        assert!(
            removing.iter().filter(|row| row.state == PrinterContentState::Removing).all(|row| row.sha256 == hash(3))
        );
        let marked = printer_contents::mark_unneeded(&db, &selected, at(9), at(2)).await.expect("marked");
        assert_eq!(marked, 1, "not used for long; an open command needs the other one");
        printer_contents::delete_many(&db, &[(other, hash(3))]).await.expect("deleted");
        assert_eq!(printer_contents::list_by_content(&db, &hash(3)).await.expect("read").len(), 1);
        // A later state keeps the path.
        let again = PrinterContent { path: None, state: PrinterContentState::Sending, ..rows[0].clone() };
        printer_contents::put(&db, &again).await.expect("stored");
        let read = printer_contents::list_by_content(&db, &hash(1)).await.expect("read");
        assert_eq!(read, [PrinterContent { path: rows[0].path.clone(), ..again }]);
    })
    .await;
}
