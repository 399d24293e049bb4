//! A worker's thread: a runtime, its table of connections and transfers, and the loop that takes
//! the dispatcher's commands.

use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use towline_threads::queue::Queue;
use tracing::Instrument as _;

use super::WorkerCommand;
use super::shared::{Grant, Running, Shared};
use super::transfer;
use crate::message::{End, Ended, Fetch, Message, WorkRequest};
use crate::plan::TransferId;
use crate::source::http::network::Network;
use crate::storage::PartFile;

/// A runtime for one worker.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().thread_name("resolver").build()
}

/// Runs until told to stop.
pub(crate) fn run(
    runtime: Runtime,
    network: Arc<Network>,
    mut commands: UnboundedReceiver<Vec<WorkerCommand>>,
    reports: Queue<Message>,
) {
    let shared = Rc::new(Shared::new(network, reports));
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let reporter = Rc::clone(&shared);
        tokio::task::spawn_local(async move { reporter.pass_on_reports().await });
        while let Some(group) = commands.recv().await {
            for (request, part) in group {
                if obey(&shared, request, part).is_break() {
                    return;
                }
            }
        }
    });
    drop(tasks);
    // A name lookup that hangs must not delay the shutdown.
    runtime.shutdown_background();
}

/// Breaks where the worker is to stop.
fn obey(shared: &Rc<Shared>, request: WorkRequest, part: Option<Arc<dyn PartFile>>) -> ControlFlow<()> {
    match (request, part) {
        (WorkRequest::Fetch(fetch), part) => begin(shared, fetch, part),
        (WorkRequest::Grant { transfer, .. }, Some(part)) => grant(shared, transfer, Grant::Write(part)),
        // Its partial file was released in the meantime.
        (WorkRequest::Grant { transfer, .. }, None) => break_off(shared, transfer),
        (WorkRequest::Gather(transfer), _) => grant(shared, transfer, Grant::Gather),
        (WorkRequest::Drop(transfer), _) => break_off(shared, transfer),
        (WorkRequest::CloseSlot(slot), _) => shared.close_slot(slot),
        (WorkRequest::Stop, _) => return ControlFlow::Break(()),
    }
    ControlFlow::Continue(())
}

fn begin(shared: &Rc<Shared>, fetch: Box<Fetch>, sink: Option<Arc<dyn PartFile>>) {
    let (transfer, slot) = (fetch.transfer, fetch.slot);
    let (grant, granted) = oneshot::channel();
    // The task cannot run, and so cannot remove itself, before this function returns.
    let span = fetch.span.clone();
    // Boxed, for it has kilobytes, which the runtime would move several times.
    let transfer_run = Box::pin(transfer::run(Rc::clone(shared), fetch, sink, granted));
    let task = tokio::task::spawn_local(transfer_run.instrument(span));
    let running = Running { slot, task, grant: Some(grant) };
    shared.transfers.borrow_mut().insert(transfer, running);
}

fn grant(shared: &Shared, transfer: TransferId, what: Grant) {
    if let Some(grant) = shared.transfers.borrow_mut().get_mut(&transfer).and_then(|running| running.grant.take()) {
        // It may have been aborted; its end is reported either way.
        let _ = grant.send(what);
    }
}

fn break_off(shared: &Rc<Shared>, transfer: TransferId) {
    let Some(running) = shared.transfers.borrow_mut().remove(&transfer) else { return };
    running.task.abort();
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        // Nothing more is written once this returns; then the connection's own task closes it.
        let _ = running.task.await;
        tokio::task::yield_now().await;
        // An HTTP/2 connection outlives its streams.
        let is_reusable = shared.has_connection(running.slot);
        shared.report(Message::Ended(Ended { transfer, end: End::Dropped, is_reusable }));
    });
}
