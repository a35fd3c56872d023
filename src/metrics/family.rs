//! Metrics as Prometheus reads them: families that are declared once, and filled when somebody scrapes.

use prometheus::{
    core::Desc,
    proto::{self, LabelPair, MetricFamily, MetricType},
};

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations by class.
    Histogram,
}

/// A family of metrics, as it is declared.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What it tells, for people.
    pub help: &'static str,
    /// What its samples are.
    pub kind: Kind,
    /// The names of its labels. None of them ever takes an address or a query's name.
    pub labels: &'static [&'static str],
}

impl Family {
    /// Declares a counter.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter, labels }
    }

    /// Declares a gauge.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, labels }
    }

    /// Declares a histogram.
    pub const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, kind: Kind::Histogram, labels }
    }

    /// The declaration in the form that a registry takes; `None` if the name is none, which a test rules out.
    pub fn description(&self) -> Option<Desc> {
        let labels = self.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, std::collections::HashMap::new()).ok()
    }

    /// No samples yet.
    pub const fn samples(self) -> Samples {
        Samples { family: self, metrics: Vec::new() }
    }

    /// The family with one sample and no labels.
    pub fn alone(self, value: f64) -> MetricFamily {
        let mut samples = self.samples();
        samples.add(&[], value);
        samples.finish()
    }
}

/// The samples of a family while they are gathered.
#[derive(Debug)]
pub struct Samples {
    family: Family,
    metrics: Vec<proto::Metric>,
}

impl Samples {
    /// Adds a sample; `labels` are the values of the family's labels in their order.
    pub fn add(&mut self, labels: &[&str], value: f64) {
        let mut metric = self.labelled(labels);
        if self.family.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// Adds the observations of a histogram: how many are in each class, by its upper bound, how many are beyond the last
    /// one, and the sum of all that was observed.
    pub fn add_histogram(&mut self, labels: &[&str], classes: impl Iterator<Item = (f64, u64)>, beyond: u64, sum: f64) {
        let mut count = 0;
        let buckets = classes.map(|(bound, of_class)| {
            count += of_class;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(count + beyond);
        histogram.set_sample_sum(sum);
        let mut metric = self.labelled(labels);
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    /// The family with its samples.
    pub fn finish(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(match self.family.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.metrics);
        family
    }

    fn labelled(&self, values: &[&str]) -> proto::Metric {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}", self.family.name);
        let pairs = self.family.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = proto::Metric::default();
        metric.set_label(pairs.collect());
        metric
    }
}
