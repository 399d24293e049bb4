//! The disk's side of a life: opener and committer do their real work, one request at a time.

use super::*;

impl World<'_> {
    pub(super) fn ask_opener(&mut self, request: OpenRequest) {
        self.to_open.push_back(request);
        self.check_writers();
        if self.to_open.len() == 1 {
            let after = Time::from_millis(self.dice.u64(0..5));
            self.schedule(after, Due::Open);
        }
    }

    pub(super) fn open(&mut self) {
        if self.waits_for_release() && !self.storage.is_stopped() {
            return self.schedule(Time::from_millis(1), Due::Open);
        }
        let Some(request) = self.to_open.pop_front() else { return };
        let path = match &request {
            OpenRequest::Prepare { path, .. }
            | OpenRequest::Survey { path, .. }
            | OpenRequest::Compare { path, .. } => path.clone(),
            OpenRequest::Open(open) => open.path.clone(),
            OpenRequest::Adopt(adopt) => adopt.path.clone(),
        };
        self.inbox.push_back(self.opener.answer(request));
        self.storage.look(|disk| checks::path(self.script, disk, &path));
        if !self.to_open.is_empty() {
            let after = Time::from_millis(self.dice.u64(0..5));
            self.schedule(after, Due::Open);
        }
    }

    /// The opener waits until the committer has released the file, as with [`Parts`].
    fn waits_for_release(&self) -> bool {
        let Some(OpenRequest::Prepare { job: wanted, .. }) = self.to_open.front() else { return false };
        let is_of_job =
            |request: &CommitRequest| matches!(request, CommitRequest::Release { job, .. } if job == wanted);
        self.to_commit.iter().any(is_of_job)
    }

    pub(super) fn ask_committer(&mut self, request: CommitRequest) {
        self.to_commit.push_back(request);
        self.check_writers();
        if self.to_commit.len() == 1 {
            self.schedule_commit();
        }
    }

    /// The two threads never write one file or its journal at once. Here they take turns, so that nothing else would
    /// show it.
    fn check_writers(&self) {
        let opened = self.to_open.iter().filter_map(|request| match request {
            OpenRequest::Open(open) => Some(open.job),
            OpenRequest::Adopt(adopt) => Some(adopt.job),
            _ => None,
        });
        for job in opened {
            let other = self.to_commit.iter().find(|request| writes_part_of(request) == Some(job));
            assert!(other.is_none(), "{job:?} is opened during {other:?}");
        }
    }

    fn schedule_commit(&mut self) {
        let after = self.script.disk_takes.mul_f64(self.dice.f64().powi(3));
        self.schedule(after, Due::Commit);
    }

    /// The committer takes some of what is queued, as one group.
    pub(super) fn commit(&mut self) {
        if self.to_commit.is_empty() {
            return;
        }
        let count = self.dice.usize(1..=self.to_commit.len());
        let (mut group, mut touched) = (Vec::new(), BTreeSet::new());
        for request in self.to_commit.drain(..count) {
            if let CommitRequest::Digest { job, path, algorithm, of_final, len_bytes } = &request {
                // Not on the pool, whose threads run in any order.
                let result = digest(&self.storage, &self.parts, *job, path, *algorithm, *of_final, *len_bytes);
                self.inbox.push_back(Message::Digested(*job, result));
                continue;
            }
            touched.extend(path_of(&request).map(PathBuf::from));
            group.push(request);
        }
        self.committer.commit(group.into_iter());
        while !self.reports.is_empty() {
            self.inbox.extend(self.reports.get());
        }
        for path in &touched {
            self.storage.look(|disk| checks::path(self.script, disk, path));
        }
        if !self.to_commit.is_empty() {
            self.schedule_commit();
        }
    }

    /// Finishes what was requested from the disk before the end.
    pub(super) fn finish_disk(&mut self) {
        while !self.to_commit.is_empty() && !self.storage.is_stopped() {
            self.commit();
        }
        while !self.to_open.is_empty() && !self.storage.is_stopped() {
            self.open();
        }
    }
}

/// Whose partial file or journal it writes.
const fn writes_part_of(request: &CommitRequest) -> Option<JobId> {
    match request {
        CommitRequest::Save { job, .. } | CommitRequest::SetLen { job, .. } | CommitRequest::Publish { job, .. } => {
            Some(*job)
        }
        _ => None,
    }
}

fn path_of(request: &CommitRequest) -> Option<&Path> {
    match request {
        CommitRequest::Store(store) => Some(&store.path),
        CommitRequest::Publish { publish, .. } => Some(&publish.path),
        CommitRequest::Save { path, .. } | CommitRequest::SetLen { path, .. } | CommitRequest::Release { path, .. } => {
            Some(path)
        }
        CommitRequest::WriteBack { .. } | CommitRequest::Reserve { .. } => None,
        CommitRequest::Digest { .. } | CommitRequest::DigestPieces { .. } => None,
    }
}

/// The digest that the committer's pool would compute.
fn digest(
    storage: &TestStorage,
    parts: &Parts,
    job: JobId,
    path: &Path,
    algorithm: Algorithm,
    of_final: bool,
    len_bytes: u64,
) -> Result<Vec<u8>, Error> {
    let content = match (of_final, parts.get(job)) {
        (false, Some(part)) => {
            let mut content = vec![0; len_bytes as usize];
            part.read_at(&mut content, 0).map(|()| content)
        }
        (false, None) => Err(io::Error::other("the partial file is not open")),
        (true, _) => storage.open_read(path).and_then(|mut file| {
            let mut content = Vec::new();
            file.read_to_end(&mut content).map(|_| content)
        }),
    };
    let found = content.and_then(|content| digest_of(&mut content.as_slice(), algorithm, &|| true));
    match found {
        Ok(found) => Ok(found.unwrap_or_default()),
        Err(source) => Err(Error::storage("read", path, source)),
    }
}
