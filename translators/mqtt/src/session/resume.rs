//! Finding, ending and making the session of a client that comes back, or comes anew.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::Text;
use fairlead_kernel::{Change, ClosedReason, Error, Io, PutDocument, Reason, Stream, StreamKey};

use super::Session;
use super::answers::Answer;
use super::client::{Client, Remembered, waiting_will};
use super::received::Received;
use super::subscribe::{attach_mailbox, mailbox};
use super::subscriptions::Subscriptions;
use super::window::Window;
use crate::codec::ReasonCode;
use crate::errors::Fault;

/// Remembered packet ids read at a time.
const PAGE: usize = 1_024;

impl<I: Io> Session<I> {
    /// Becomes the only connection of its client and takes over what is kept of its session.
    /// Whether there was one.
    pub(super) async fn restore(&mut self, clean_start: bool) -> Result<bool, Fault> {
        // Before anybody is displaced, and of what is there when he has gone.
        self.look()?;
        self.caller.claim(self.client.id.as_bytes()).await?;
        let own = self.client.mailbox.clone();
        let kept = self.look()?;
        let is_present = match self.take_over(kept.as_deref(), clean_start).await {
            // It was removed between the look and the use, as when its time is over. Nobody else
            // makes one while the name is claimed, so a second look is enough.
            Err(error) if error.reason == Reason::Unknown => {
                self.leave_behind(own);
                let kept = self.look()?;
                self.take_over(kept.as_deref(), clean_start).await?
            }
            taken => taken?,
        };
        self.go_on_granted().await?;
        self.subscriptions_changed();
        Ok(is_present)
    }

    /// Repeats what was under way. Messages come again by themselves, from the mailbox.
    pub(super) fn resume(&mut self) -> Result<(), Fault> {
        for id in self.window.released() {
            //= MQTT-4.4.0-1: a PUBREL without PUBCOMP is sent again.
            self.link
                .send(&Answer::PubRel(id).packet(ReasonCode::SUCCESS))?;
        }
        Ok(())
    }

    /// Takes over what is kept, or ends it and begins a session. Whether it was taken over;
    /// `Unknown` when it was removed in the meantime.
    async fn take_over(&mut self, kept: Option<&Stream>, clean_start: bool) -> Result<bool, Error> {
        let resumed = kept.and_then(read).filter(|_| !clean_start);
        let is_present = resumed.is_some();
        if let Some((_, subscriptions)) = resumed {
            self.subscriptions = subscriptions;
            self.client.mailbox = Client::mailbox_of(self.client.id.clone());
        }
        if !is_present {
            self.begin(kept).await?;
        }
        let is_kept = is_present || self.client.expiry.is_some();
        if is_kept || kept.is_some() {
            self.recall(is_present).await?;
        }
        if is_kept {
            let attach = attach_mailbox(&self.client.mailbox, self.window.max());
            self.mailbox = Some(self.caller.attach(attach).await?);
            self.presence.kept();
        }
        let lifetime = self.client.expiry.lifetime();
        if kept.is_some_and(|stream| is_present && stream.lifetime != lifetime) {
            // Attached first: what is to end with this connection would otherwise end at once.
            let altered = self.altered()?;
            self.caller.declare(vec![altered]).await?;
        }
        Ok(is_present)
    }

    /// Forgets what was taken over of a session that is gone; `own` is the mailbox without it.
    fn leave_behind(&mut self, own: StreamKey) {
        self.subscriptions = Subscriptions::default();
        self.client.mailbox = own;
        self.mailbox = None;
        self.received = Received::default();
        self.window = Window::new(self.window.max());
    }

    /// The mailbox of this client's session, which has to be the client's own.
    fn look(&self) -> Result<Option<Arc<Stream>>, Fault> {
        let kept = self.kept_mailbox();
        self.check_owner(kept.as_deref())?;
        Ok(kept)
    }

    /// The mailbox of this client's session.
    fn kept_mailbox(&self) -> Option<Arc<Stream>> {
        let key = Client::mailbox_of(self.client.id.clone());
        self.caller
            .topology(|topology| topology.stream(&key).cloned())
    }

    /// A session belongs to who made it: a client identifier is no secret.
    fn check_owner(&self, kept: Option<&Stream>) -> Result<(), Fault> {
        match kept.and_then(read) {
            Some((owner, _)) if owner != self.caller.who().name => {
                let detail = "the session belongs to another user";
                Err(Fault::new(
                    ReasonCode::NOT_AUTHORIZED,
                    ClosedReason::Refused,
                    detail,
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Ends the session that was kept, if there was one, and makes the one that is to be kept.
    async fn begin(&mut self, kept: Option<&Stream>) -> Result<(), Error> {
        let mut changes = Vec::new();
        if let Some(stream) = kept {
            changes.push(Change::RemoveStream(stream.key.clone()));
        }
        let expiry = self.client.expiry;
        if expiry.is_some() {
            let new = mailbox(
                &self.client.mailbox,
                expiry,
                self.document()?,
                &self.settings,
            );
            changes.push(Change::CreateStream(new));
        }
        if !changes.is_empty() {
            self.caller.declare(changes).await?;
        }
        Ok(())
    }

    /// Reads the packet ids that an earlier connection left; a new session forgets them.
    async fn recall(&mut self, is_present: bool) -> Result<(), Error> {
        let prefix = self.client.remembered_prefix();
        let mut after: Option<Bytes> = None;
        loop {
            let page = self
                .caller
                .documents(prefix.clone(), after.take(), PAGE)
                .await?;
            let will_key = self.client.will_key();
            if let Some(will) = page.iter().find(|found| found.key == will_key) {
                self.take_will_back(&will.value).await?;
            }
            let remembered = page
                .iter()
                .filter_map(|found| self.client.remembered(&found.key));
            let remembered: Vec<Remembered> = remembered.collect();
            if is_present {
                remembered.into_iter().for_each(|what| self.take_up(what));
            } else if !remembered.is_empty() {
                let forget = remembered.into_iter().map(|what| self.client.forget(what));
                let forget: Vec<PutDocument> = forget.collect();
                self.caller.put_documents(forget).await?;
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// The client is back: the will that waits for the end of its delay is not published.
    async fn take_will_back(&mut self, document: &[u8]) -> Result<(), Error> {
        if let Some((offset, due)) = waiting_will(document) {
            //= MQTT-3.1.3-9: a client that is back in time has no will published.
            self.caller.recall(offset, due).await?;
        }
        let end = self.client.will_document(None);
        self.caller.put_documents(vec![end]).await
    }

    fn take_up(&mut self, what: Remembered) {
        match what {
            Remembered::Received(id) => self.received.restore(id),
            Remembered::Released(id) => self.window.restore_released(id),
        }
    }
}

fn read(stream: &Stream) -> Option<(Text, Subscriptions)> {
    Subscriptions::from_document(&stream.document)
}
