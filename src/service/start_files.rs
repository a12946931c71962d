//! The files that a start names: looks up library files, and checks that they fit their printers.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Services, error::Error, selection::SelectedPrinter};
use crate::{
    domain::{
        batch::{BatchSpec, FitPolicy},
        command::{Command, FileSelector, LibraryContent, Reason, StartFile},
        file::LibraryFile,
        fit::{self, Fit},
        message::Message,
        validation::ValidationErrors,
    },
    storage,
};

impl Services {
    /// Sets the files of a batch and of its printers. `file` is the file of the whole batch. Refuses printers that their
    /// file does not fit.
    pub(super) async fn resolve_start_files(
        &self,
        spec: &mut BatchSpec,
        file: Option<FileSelector>,
        selected: &mut [SelectedPrinter],
    ) -> Result<(), Error> {
        let mut invalid = ValidationErrors::default();
        let own_files = selected.iter().enumerate().filter_map(|(i, one)| {
            one.requested_file.as_ref().map(|file| (format!("/select/printer_ids/{i}/file"), file.clone()))
        });
        let requested: Vec<(String, FileSelector)> =
            file.iter().map(|file| ("/file".to_owned(), file.clone())).chain(own_files).collect();
        if spec.command != Command::Start {
            for (pointer, _) in &requested {
                let rule = Message::new("rule-only-with").with("other", Command::Start.as_str());
                invalid.add(pointer, "not_for_this_command", rule);
            }
            return Ok(invalid.into_result(())?);
        }
        let contents = self.look_up_contents(&requested).await?;
        for (pointer, file) in &requested {
            match file {
                FileSelector::OnPrinter(file) => file.check(&mut invalid, pointer),
                FileSelector::InLibrary(id) if contents.contains_key(id) => {}
                FileSelector::InLibrary(_) => {
                    invalid.add(format!("{pointer}/file_id"), "not_found", "rule-file-id");
                }
            }
        }
        invalid.into_result(())?;
        let resolve = |file: &FileSelector| match file {
            FileSelector::OnPrinter(file) => Some(StartFile::OnPrinter(file.clone())),
            FileSelector::InLibrary(id) => contents.get(id).cloned().map(StartFile::InLibrary),
        };
        spec.file = file.as_ref().and_then(resolve);
        for one in &mut *selected {
            one.file = one.requested_file.as_ref().and_then(resolve).or_else(|| spec.file.clone());
        }
        self.refuse_unfit(spec, selected).await
    }

    async fn look_up_contents(
        &self,
        requested: &[(String, FileSelector)],
    ) -> Result<HashMap<Uuid, LibraryContent>, Error> {
        let ids: HashSet<Uuid> = requested
            .iter()
            .filter_map(|(_, file)| match file {
                FileSelector::InLibrary(id) => Some(*id),
                FileSelector::OnPrinter(_) => None,
            })
            .collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let files = storage::files::get_many(&self.db, &ids).await?;
        Ok(files.into_iter().map(|file| (file.id, library_content(&file))).collect())
    }

    /// Refuses the printers that their library file does not fit, unless the batch ignores that.
    pub(super) async fn refuse_unfit(&self, spec: &BatchSpec, selected: &mut [SelectedPrinter]) -> Result<(), Error> {
        let contents: HashSet<String> = selected
            .iter()
            .filter_map(|one| one.file.as_ref()?.content().map(|content| content.sha256.clone()))
            .collect();
        if spec.fit == FitPolicy::Ignore || contents.is_empty() {
            return Ok(());
        }
        let contents: Vec<String> = contents.into_iter().collect();
        let files = storage::files::list_by_content(&self.db, &contents).await?;
        let by_id: HashMap<Uuid, &LibraryFile> = files.iter().map(|file| (file.id, file)).collect();
        let by_content: HashMap<&str, &LibraryFile> =
            files.iter().map(|file| (file.content.sha256.as_str(), file)).collect();
        let ids: Vec<Uuid> = selected.iter().map(|one| one.printer_id).collect();
        let printers = storage::printers::get_many(&self.db, &ids).await?;
        let profiles: HashMap<Uuid, _> =
            printers.into_iter().map(|printer| (printer.id, printer.details.profile)).collect();
        for one in selected.iter_mut().filter(|one| one.refused.is_none()) {
            let Some(content) = one.file.as_ref().and_then(StartFile::content) else { continue };
            // The corrections of the named file count, even if another file has the same content.
            let named = by_id.get(&content.file_id).filter(|file| file.content.sha256 == content.sha256);
            let file = named.or_else(|| by_content.get(content.sha256.as_str()));
            let (Some(file), Some(profile)) = (file, profiles.get(&one.printer_id)) else { continue };
            if let Fit::Contradicts(why) = fit::fit(&file.facts(), profile) {
                (one.refused, one.refusal_detail) = (Some(Reason::FileDoesNotFit), Some(why));
            }
        }
        Ok(())
    }
}

/// Returns the content of a file, as a command names it.
pub(super) fn library_content(file: &LibraryFile) -> LibraryContent {
    LibraryContent {
        file_id: file.id,
        sha256: file.content.sha256.clone(),
        name: file.name.clone(),
        print_size: file.content.print_size,
    }
}
