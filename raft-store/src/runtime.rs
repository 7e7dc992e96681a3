//! How tasks are started, so that the simulator can hold a whole cluster on one thread.
//!
//! In production [`spawn`] is `tokio::spawn`. In the simulator each node lives in one `LocalSet`, and while it is polled
//! [`enter`] has made it the current one: then its tasks, openraft's included, land in that set and vanish with it in a
//! crash. The only cost in production is one thread-local read for each task.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    fmt,
    future::Future,
    io,
    time::Duration,
};

use openraft::{AsyncRuntime, OptionalSend, impls::TokioRuntime};
use rand::{Rng, SeedableRng, TryRng, rngs::SmallRng};
pub use tokio::task::JoinHandle;

thread_local! {
    /// The simulated node that is being polled; 0 outside the simulator.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    /// The random generator of the simulated node that is being polled.
    static GENERATOR: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// A simulated node's claim on this thread's tasks; see [`enter`].
#[derive(Debug)]
pub struct Entered {
    before: u64,
}

/// Makes `node` (not 0) the owner of every task started on this thread until the guard is dropped.
///
/// The caller must be polling that node's `LocalSet`.
pub fn enter(node: u64) -> Entered {
    Entered { before: CURRENT.replace(node) }
}

/// The simulated node that is being polled; 0 in production.
pub fn current() -> u64 {
    CURRENT.get()
}

/// Seeds what openraft draws its election timeouts from on this thread; for the simulator.
pub fn seed_thread(seed: u64) {
    GENERATOR.set(Some(SmallRng::seed_from_u64(seed)));
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Starts a task of the current node.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    if current() == 0 { tokio::spawn(future) } else { tokio::task::spawn_local(future) }
}

/// Runs work that blocks (hashing, copying, opening a database) away from the runtime; in the simulator it runs at once.
///
/// # Errors
/// The work panicked, or the runtime is shutting down.
pub async fn spawn_blocking<F, T>(work: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if current() == 0 {
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
    } else {
        tokio::task::yield_now().await;
        Ok(work())
    }
}

/// openraft's view of the runtime: tokio's, but for the two things a simulator must hold: tasks and randomness.
#[derive(Debug)]
pub struct NodeRuntime(TokioRuntime);

/// Where openraft's random choices come from.
pub struct NodeRng(());

impl TryRng for NodeRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        draw(Rng::next_u32, Rng::next_u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        draw(Rng::next_u64, Rng::next_u64)
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for chunk in target.chunks_mut(8) {
            chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn draw<T>(
    seeded: impl FnOnce(&mut SmallRng) -> T,
    from_thread: impl FnOnce(&mut rand::rngs::ThreadRng) -> T,
) -> Result<T, Infallible> {
    GENERATOR.with_borrow_mut(|generator| match generator {
        Some(generator) => Ok(seeded(generator)),
        None => Ok(from_thread(&mut rand::rng())),
    })
}

impl fmt::Debug for NodeRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeRng")
    }
}

impl AsyncRuntime for NodeRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = NodeRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> NodeRng {
        NodeRng(())
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_blocking(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openraft_runtime_suite_passes() {
        openraft_rt_suite::run();
    }

    mod openraft_rt_suite {
        use openraft::testing::runtime::Suite;

        use super::*;

        pub(super) fn run() {
            Suite::<NodeRuntime>::test_all();
        }
    }
}
