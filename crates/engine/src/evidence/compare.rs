//! The verdict on two pieces of evidence, one kind after another, the most certain first.

use super::claim::Evidence;
use super::tag::VALUE_BYTES_MAX;

/// Whether two pieces of evidence describe the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do, with this certainty.
    Same(Strength),
    /// They do not, with this certainty.
    Different(Strength),
    /// Nothing that both say decides.
    Unknown,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// A weak tag, or a date that was recent when it was sent.
    Weak,
    /// A strong tag, a settled date where there is no tag, or a length.
    Strong,
    /// A cryptographic digest of the whole file.
    Proof,
}

impl Verdict {
    /// Whether bytes of both may be joined.
    pub fn joins(self) -> bool {
        matches!(self, Self::Same(Strength::Strong | Strength::Proof))
    }

    /// Whether it indicates the same content, however weakly.
    pub fn is_same(self) -> bool {
        matches!(self, Self::Same(_))
    }

    /// Whether it indicates different content.
    pub fn is_different(self) -> bool {
        matches!(self, Self::Different(_))
    }
}

impl Evidence {
    /// Compares the evidence held with what a response claims.
    ///
    /// The comparison is not symmetric: what is held but missing in the claim is `Unknown`, whatever else
    /// matches; what only the claim has says nothing. A response that is encoded otherwise proves nothing
    /// about plain data; encoded data gives way to a plain response that names its version.
    ///
    /// ```
    /// use towline_engine::evidence::{Evidence, Strength, Verdict};
    ///
    /// let named = |tag| {
    ///     let mut headers = http::HeaderMap::new();
    ///     headers.insert("etag", http::HeaderValue::from_static(tag));
    ///     Evidence::from_headers(&headers, Some(5))
    /// };
    /// assert_eq!(named("\"a\"").compare(&named("\"a\"")), Verdict::Same(Strength::Strong));
    /// assert!(named("\"a\"").compare(&named("\"b\"")).is_different());
    /// assert_eq!(named("\"a\"").compare(&Evidence::default()), Verdict::Unknown);
    /// ```
    pub fn compare(&self, claimed: &Self) -> Verdict {
        match (&self.content_encoding, &claimed.content_encoding) {
            (held, theirs) if held == theirs => {}
            // What was encoded gives way to the file. A response that names no version may be anything.
            (Some(_), None) if claimed.tells_version() || !self.tells_version() => {
                return Verdict::Different(Strength::Weak);
            }
            _ => return Verdict::Unknown,
        }
        if let Some(verdict) = self.compare_digests(claimed) {
            return verdict;
        }
        if self.has_other_length(claimed) {
            return self.compare_with_other_length(claimed);
        }
        if self.has_other_odd_tag(claimed) {
            return Verdict::Different(Strength::Weak);
        }
        match &self.etag {
            Some(_) => self.compare_tags(claimed),
            None => self.compare_dates(claimed),
        }
    }

    /// Whether both have a length and the lengths differ.
    pub(crate) fn has_other_length(&self, claimed: &Self) -> bool {
        self.total_bytes.zip(claimed.total_bytes).is_some_and(|(held, claimed)| held != claimed)
    }

    /// Whether samples may decide where the verdict does not: another URL, such as a mirror behind a redirect,
    /// reports the same length, and the same date or the same strong tag.
    pub(crate) fn may_be_sampled(&self, claimed: &Self) -> bool {
        self.is_elsewhere(claimed)
            && self.content_encoding == claimed.content_encoding
            && self.has_equal_length(claimed)
            && (self.has_equal_date(claimed) || self.has_same_strong_tag(claimed))
    }

    /// Whether another URL reports the same strong tag and the same length: probably the same content, but no
    /// proof.
    pub(crate) fn shares_tag(&self, claimed: &Self) -> bool {
        self.has_same_strong_tag(claimed) && self.may_be_sampled(claimed) && !self.compare(claimed).is_different()
    }

    /// Whether another URL reports the same length and the same strong tag or, if neither has a tag, the same settled date.
    pub(crate) fn shares_version(&self, claimed: &Self) -> bool {
        let has_no_tags = self.etag.is_none() && claimed.etag.is_none();
        let shares_date = has_no_tags && self.has_settled_date() && self.may_be_sampled(claimed);
        self.shares_tag(claimed) || shares_date && !self.compare(claimed).is_different()
    }

    /// Whether a response without a length names this version: by a tag, or by a settled date if neither has a tag.
    pub(crate) fn is_alike_without_length(&self, claimed: &Self) -> bool {
        self.has_tag_or_settled_date()
            && self.has_same_validator(claimed)
            && claimed.total_bytes.is_none()
            && self.has_same_encoding(claimed)
            && !self.is_elsewhere(claimed)
    }

    /// How the claim differs, for people: `length 9000 instead of 8000 bytes, ETag "b" instead of "a"`.
    pub(crate) fn differences(&self, claimed: &Self) -> String {
        let mut differences = Vec::new();
        if let (Some(held), Some(theirs), true) =
            (self.total_bytes, claimed.total_bytes, self.has_other_length(claimed))
        {
            differences.push(format!("length {theirs} instead of {held} bytes"));
        }
        let mut compare = |name: &str, held: Option<String>, theirs: Option<String>| {
            if held != theirs {
                let or_none = |value: Option<String>| {
                    value.map_or("none".to_owned(), |value| value.chars().take(VALUE_BYTES_MAX).collect())
                };
                differences.push(format!("{name} {} instead of {}", or_none(theirs), or_none(held)));
            }
        };
        let tag = |evidence: &Self| evidence.etag.as_ref().map(ToString::to_string);
        compare("ETag", tag(self), tag(claimed));
        compare("Last-Modified", self.last_modified.clone(), claimed.last_modified.clone());
        compare("Content-Encoding", self.content_encoding.clone(), claimed.content_encoding.clone());
        if let Some((held, theirs)) = self.digest.as_ref().zip(claimed.digest.as_ref())
            && held.agrees(theirs) == Some(false)
        {
            compare("digest", Some(held.checksum().to_string()), Some(theirs.checksum().to_string()));
        }
        match differences.is_empty() {
            true if self.has_same_strong_tag(claimed) => {
                "nothing that it says differs, and it says too little".to_owned()
            }
            true => "nothing that it says differs, and no strong ETag says that it is the same".to_owned(),
            false => differences.join(", "),
        }
    }

    /// An equal CRC proves nothing; a different one means different content.
    fn compare_digests(&self, claimed: &Self) -> Option<Verdict> {
        let digests = self.digest.as_ref().zip(claimed.digest.as_ref());
        match digests.and_then(|(held, claimed)| held.agrees(claimed))? {
            // One of two responses that counted as one version is wrong, and nobody knows which.
            false if self.has_later_digest => None,
            // One content has one length.
            true if self.has_other_length(claimed) => Some(Verdict::Unknown),
            true => Some(Verdict::Same(Strength::Proof)),
            false => Some(Verdict::Different(Strength::Proof)),
        }
    }

    /// Another length means another version, if the response identifies one. A response without a version,
    /// where one is held, may be anything; so may one with the same version. An empty response comes from a
    /// broken server, whatever it claims.
    fn compare_with_other_length(&self, claimed: &Self) -> Verdict {
        let contradicts = self.is_named_with_other_length(claimed);
        let says_nothing = claimed.total_bytes == Some(0) || self.tells_version() && !claimed.tells_version();
        match contradicts || says_nothing {
            true => Verdict::Unknown,
            false => Verdict::Different(Strength::Strong),
        }
    }

    /// Whether a response from the same place names this version, and says that it has another length. One without
    /// content says nothing, nor does one that is encoded.
    pub(crate) fn is_named_with_other_length(&self, claimed: &Self) -> bool {
        let says_something = claimed.total_bytes != Some(0) && self.has_same_encoding(claimed);
        says_something
            && self.has_other_length(claimed)
            && !self.is_elsewhere(claimed)
            && self.has_same_validator(claimed)
    }

    /// Whether a response cannot be of this version although it does not name another: it has another length.
    pub(crate) fn is_contradicted_by(&self, claimed: &Self) -> bool {
        self.has_other_length(claimed) && self.compare(claimed) == Verdict::Unknown
    }

    /// Whether a response from the same place names the same version, and does not prove it. What it leaves out of the
    /// length is assumed.
    pub(crate) fn is_named_weakly_by(&self, claimed: &Self) -> bool {
        let is_weak = !self.can_join() || claimed.total_bytes.is_none();
        let told = Self { total_bytes: claimed.total_bytes.or(self.total_bytes), ..claimed.clone() };
        is_weak && !self.is_elsewhere(claimed) && self.compare(&told).is_same()
    }

    /// Compares with a response that tells a length where none is held yet: it is assumed to be that of what is held.
    pub(crate) fn compare_with_length(&self, claimed: &Self) -> Verdict {
        let held = Self { total_bytes: self.total_bytes.or(claimed.total_bytes), ..self.clone() };
        held.compare(claimed)
    }

    /// Whether both name the same version: by any tag, or by a date if neither has a tag.
    fn has_same_validator(&self, claimed: &Self) -> bool {
        match (&self.etag, &claimed.etag) {
            (Some(held), Some(theirs)) => held.has_same_text(theirs),
            (None, None) => self.has_equal_date(claimed),
            _ => false,
        }
    }

    fn compare_tags(&self, claimed: &Self) -> Verdict {
        let Some((held, theirs)) = self.etag.as_ref().zip(claimed.etag.as_ref()) else { return Verdict::Unknown };
        let is_strong = !held.is_weak() && !theirs.is_weak();
        match held.has_same_text(theirs) {
            true if is_strong && !self.is_elsewhere(claimed) => Verdict::Same(Strength::Strong),
            // Two servers behind different URLs may use one tag for different files; nginx does so for two
            // builds with the same time and length.
            true if self.has_equal_length(claimed) && !self.has_other_date(claimed) => Verdict::Same(Strength::Weak),
            true => Verdict::Unknown,
            // Each server behind a redirect makes its own tags.
            false if self.is_elsewhere(claimed) => Verdict::Unknown,
            false if is_strong => Verdict::Different(Strength::Strong),
            false => Verdict::Different(Strength::Weak),
        }
    }

    /// For evidence without a tag.
    fn compare_dates(&self, claimed: &Self) -> Verdict {
        let Some((held, theirs)) = self.real_date().zip(claimed.real_date()) else { return Verdict::Unknown };
        let is_settled = self.has_settled_date();
        match held == theirs {
            true if !self.has_equal_length(claimed) => Verdict::Unknown,
            // A tag that was not there before points to another server or another version.
            true if is_settled && !self.is_elsewhere(claimed) && claimed.etag.is_none() => {
                Verdict::Same(Strength::Strong)
            }
            true => Verdict::Same(Strength::Weak),
            // The server's clock is not the file's date, and another server may have another date.
            false if claimed.is_stamped_now() || self.is_elsewhere(claimed) => Verdict::Unknown,
            false if is_settled => Verdict::Different(Strength::Strong),
            // Either no `Date` said how old our date was, or theirs has settled.
            false if self.has_old_date() || claimed.has_old_date() => Verdict::Different(Strength::Weak),
            false => Verdict::Unknown,
        }
    }

    pub(crate) fn has_equal_length(&self, claimed: &Self) -> bool {
        self.total_bytes.is_some() && self.total_bytes == claimed.total_bytes
    }

    fn has_equal_date(&self, claimed: &Self) -> bool {
        self.real_date().zip(claimed.real_date()).is_some_and(|(held, theirs)| held == theirs)
    }

    fn has_same_strong_tag(&self, claimed: &Self) -> bool {
        let tags = self.etag.as_ref().zip(claimed.etag.as_ref());
        tags.is_some_and(|(held, theirs)| !held.is_weak() && !theirs.is_weak() && held.has_same_text(theirs))
    }

    /// Whether both have something in the place of a tag, and not the same.
    fn has_other_odd_tag(&self, claimed: &Self) -> bool {
        let is_other = self.odd_tag.as_ref().zip(claimed.odd_tag.as_ref()).is_some_and(|(held, theirs)| held != theirs);
        is_other && !self.is_elsewhere(claimed)
    }

    fn has_other_date(&self, claimed: &Self) -> bool {
        self.last_modified.as_ref().zip(claimed.last_modified.as_ref()).is_some_and(|(held, theirs)| held != theirs)
    }

    /// Whether another URL said it. Earlier builds did not record the URL.
    pub(crate) fn is_elsewhere(&self, claimed: &Self) -> bool {
        self.place.zip(claimed.place).is_some_and(|(held, theirs)| held != theirs)
    }
}
