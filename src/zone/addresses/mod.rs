//! stub
use super::ruling::{Claim, Context, Finding, Level, Ruling};
#[derive(Debug)]
pub struct Addresses;
#[derive(Clone, Copy, Debug)]
pub enum Specificity {
    Octets,
    Prefix,
}
impl Addresses {
    pub fn find_v4(&self, _a: u32, _c: &Context) -> Finding<'_> {
        Finding::Absent
    }
    pub fn find_v6(&self, _a: u128, _c: &Context) -> Finding<'_> {
        Finding::Absent
    }
    pub fn any_listed_v4(&self, _a: u32, _b: u32, _c: &Context) -> bool {
        false
    }
    pub fn any_listed_v6(&self, _a: u128, _b: u128, _c: &Context) -> bool {
        false
    }
    pub fn for_each_v4(&self, _v: impl FnMut(u32, u32, Ruling)) {}
    pub fn for_each_v6(&self, _v: impl FnMut(u128, u128, Ruling)) {}
    pub fn levels(&self, _r: Ruling) -> Vec<Level> {
        Vec::new()
    }
    pub fn entries(&self) -> usize {
        0
    }
    pub fn memory_bytes(&self) -> usize {
        0
    }
}
#[derive(Debug)]
pub struct AddressesBuilder;
impl AddressesBuilder {
    pub fn new(_s: Specificity) -> Self {
        Self
    }
    pub fn add_v4(&mut self, _a: u32, _l: u8, _c: Claim) {}
    pub fn add_v6(&mut self, _a: u128, _l: u8, _c: Claim) {}
    pub fn build(self) -> Addresses {
        Addresses
    }
}
