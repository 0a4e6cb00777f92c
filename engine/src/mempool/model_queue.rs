//! A queue with the face of crossbeam's, made of what loom can model. Only for the model of what we put around it.

use std::collections::VecDeque;

use loom::sync::Mutex;

/// A bounded queue.
#[derive(Debug)]
pub struct ArrayQueue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> Self {
        Self { items: Mutex::new(VecDeque::new()), capacity }
    }

    pub fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().expect("no panic while it is held");
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }

    pub fn pop(&self) -> Option<T> {
        self.items.lock().expect("no panic while it is held").pop_front()
    }

    pub fn len(&self) -> usize {
        self.items.lock().expect("no panic while it is held").len()
    }

    pub fn is_full(&self) -> bool {
        self.len() == self.capacity
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }
}
