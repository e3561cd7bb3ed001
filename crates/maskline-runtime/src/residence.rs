//! How much of what networks give stays in the memory of devices, and how it gets out of there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::kept::{Device, Kept};

/// Outputs that stay in the memory of devices between runs ([`Job::staying`](crate::Job::staying)), of all lanes that share it. Those that no run
/// took for the longest time are fetched into ordinary memory where others need the room, and all of a device where a run of it fails.
#[derive(Debug)]
pub struct Residence {
    limit: usize,
    residents: Mutex<Vec<Weak<Kept>>>,
}

impl Default for Residence {
    /// Nothing stays.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Residence {
    /// One for so many bytes on all devices together; with 0, nothing stays.
    pub fn new(limit: usize) -> Self {
        Self { limit, residents: Mutex::default() }
    }

    /// Bytes that devices hold now.
    pub fn bytes(&self) -> usize {
        self.all().iter().map(|resident| resident.bytes()).sum()
    }

    /// Whether anything may stay.
    pub(crate) fn is_open(&self) -> bool {
        self.limit > 0
    }

    /// Lets a value stay on its device, where it fits in: others leave, and it does itself where it is too large for all.
    pub(crate) fn take_in(&self, value: &Arc<Kept>) {
        self.lock().push(Arc::downgrade(value));
        let mut residents = self.all();
        residents.sort_by_key(|resident| resident.used());
        let mut bytes: usize = residents.iter().map(|resident| resident.bytes()).sum();
        // The newest is the last one.
        for resident in residents {
            if bytes <= self.limit {
                break;
            }
            bytes -= resident.bytes();
            resident.leave();
        }
    }

    /// Gives a device all its memory back; how many values had some.
    pub(crate) fn empty(&self, device: &Device) -> usize {
        let residents = self.of(device);
        residents.iter().for_each(|resident| resident.leave());
        residents.len()
    }

    /// A device is gone with all that it had.
    pub(crate) fn lose(&self, device: &Device) {
        self.of(device).iter().for_each(|resident| resident.lose());
    }

    fn of(&self, device: &Device) -> Vec<Arc<Kept>> {
        let mut residents = self.all();
        residents.retain(|resident| resident.device().as_ref() == Some(device));
        residents
    }

    /// What devices hold now. The others are forgotten.
    fn all(&self) -> Vec<Arc<Kept>> {
        let mut all = Vec::new();
        self.lock().retain(|resident| {
            let there = resident.upgrade().filter(|resident| resident.device().is_some());
            let stays = there.is_some();
            all.extend(there);
            stays
        });
        all
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Kept>>> {
        self.residents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ort::memory::AllocationDevice;

    use super::*;
    use crate::ErrorKind;
    use crate::library::{LibraryOptions, load};

    /// Ordinary memory, taken for that of a device.
    fn device(id: i32) -> Device {
        Device { kind: AllocationDevice::CPU, id }
    }

    /// 16 bytes on a device.
    fn value(first: f32, id: i32) -> Arc<Kept> {
        load(&LibraryOptions::from_env()).expect("ONNX Runtime");
        let value = ort::value::Tensor::from_array(([4_usize], vec![first, 1.0, 2.0, 3.0])).expect("a tensor");
        Arc::new(Kept::there(value.into_dyn(), device(id)))
    }

    fn first_of(value: &Kept) -> f32 {
        value.fetched().expect("it is not lost").try_extract_tensor::<f32>().expect("floats").1[0]
    }

    #[test]
    fn those_that_were_not_used_for_the_longest_time_leave_for_others() {
        let residence = Residence::new(40);
        let [a, b, c] = [1.0, 2.0, 3.0].map(|first| value(first, 0));
        for value in [&a, &b] {
            residence.take_in(value);
        }
        assert_eq!(residence.bytes(), 32);
        a.for_session(Some(&device(0))).expect("it is there");
        residence.take_in(&c);
        assert_eq!((residence.bytes(), b.device(), b.is_lost()), (32, None, false));
        assert!(a.device().is_some() && c.device().is_some());
        assert_eq!([&a, &b, &c].map(|value| first_of(value)), [1.0, 2.0, 3.0]);
        drop((a, c));
        assert_eq!(residence.bytes(), 0, "what nobody holds is nowhere");
        let small = Residence::new(8);
        let large = value(4.0, 0);
        small.take_in(&large);
        assert_eq!((small.bytes(), first_of(&large)), (0, 4.0));
        assert!(small.is_open() && !Residence::default().is_open());
    }

    #[test]
    fn what_was_not_fetched_in_time_is_lost_with_its_device() {
        let residence = Residence::new(1 << 20);
        let [fetched, forgotten, elsewhere] = [(1.0, 0), (2.0, 0), (3.0, 1)].map(|(first, id)| value(first, id));
        for value in [&fetched, &forgotten, &elsewhere] {
            residence.take_in(value);
        }
        assert_eq!(first_of(&fetched), 1.0);
        residence.lose(&device(0));
        assert_eq!((residence.bytes(), first_of(&fetched), first_of(&elsewhere)), (16, 1.0, 3.0));
        assert!(forgotten.is_lost() && !fetched.is_lost());
        assert_eq!(forgotten.for_session(Some(&device(0))).expect_err("lost").kind(), ErrorKind::Lost);
        assert_eq!((residence.empty(&device(0)), residence.empty(&device(1)), residence.bytes()), (0, 1, 0));
        assert_eq!((first_of(&elsewhere), elsewhere.is_lost()), (3.0, false));
    }
}
