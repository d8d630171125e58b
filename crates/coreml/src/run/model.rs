//! A loaded model with its arrays: write inputs, predict, read outputs.

use std::path::{Path, PathBuf};

use objc2::AnyThread;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyObject, ProtocolObject};
use objc2_core_ml::{
    MLDictionaryFeatureProvider, MLFeatureProvider, MLFeatureValue, MLModel, MLPredictionOptions,
};
use objc2_foundation::{NSDictionary, NSString};

use super::array::{Array, refused};
use super::compile::reason;
use super::{Interface, RunError};

/// A model and the memory of its inputs and outputs, which is used anew by each
/// prediction.
pub struct Model {
    path: PathBuf,
    model: Retained<MLModel>,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    names: Vec<Retained<NSString>>,
    provider: Retained<ProtocolObject<dyn MLFeatureProvider>>,
    options: Retained<MLPredictionOptions>,
}

// SAFETY: a model is used by one thread at a time, as Core ML demands: every use of
// it takes `&mut self`. Its arrays are shared with nobody, and none of the objects
// belongs to the thread that made it.
unsafe impl Send for Model {}

impl Model {
    /// Gives the model that was loaded from `path` arrays for its inputs and outputs.
    pub(super) fn new(
        path: &Path,
        model: Retained<MLModel>,
        interface: &Interface,
    ) -> Result<Self, RunError> {
        let inputs = interface.inputs.iter().map(Array::new).collect::<Result<Vec<_>, _>>()?;
        let outputs = interface.outputs.iter().map(Array::new).collect::<Result<Vec<_>, _>>()?;
        let names = outputs.iter().map(|a| NSString::from_str(&a.feature.name)).collect();
        let (provider, options) = (provider(&inputs)?, options(&outputs));
        Ok(Self { path: path.to_owned(), model, inputs, outputs, names, provider, options })
    }

    /// The compiled model, for [`super::placement`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the input of that index; fp16 inputs round to nearest.
    ///
    /// # Errors
    /// If the length or the type does not fit.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn write_f32(&mut self, input: usize, values: &[f32]) -> Result<(), RunError> {
        self.inputs[input].write_f32(values)
    }

    /// As [`Model::write_f32`], for integers.
    ///
    /// # Errors
    /// If the length or the type does not fit.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn write_i32(&mut self, input: usize, values: &[i32]) -> Result<(), RunError> {
        self.inputs[input].write_i32(values)
    }

    /// Reads the output of that index, as the last prediction left it.
    ///
    /// # Errors
    /// If the length or the type does not fit.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn read_f32(&mut self, output: usize, values: &mut [f32]) -> Result<(), RunError> {
        self.outputs[output].read_f32(values)
    }

    /// Computes the outputs from the inputs.
    ///
    /// # Errors
    /// If Core ML fails, or writes an output elsewhere than into its array.
    pub fn predict(&mut self) -> Result<(), RunError> {
        // What Core ML allocates in a prediction is freed with the pool.
        autoreleasepool(|_| {
            // SAFETY: inputs and outputs have the shapes that the model was built with;
            // if not, Core ML gives an error.
            let predicted = unsafe {
                self.model.predictionFromFeatures_options_error(&self.provider, &self.options)
            };
            let predicted = predicted.map_err(|error| RunError::CoreMl {
                action: "running the model",
                reason: reason(&error),
            })?;
            self.check_backings(&predicted)
        })
    }

    /// Core ML may ignore a backing without a word; then the array holds old values.
    fn check_backings(
        &self,
        predicted: &ProtocolObject<dyn MLFeatureProvider>,
    ) -> Result<(), RunError> {
        for (array, name) in self.outputs.iter().zip(&self.names) {
            // SAFETY: plain getters.
            let given = unsafe { predicted.featureValueForName(name) }
                .and_then(|value| unsafe { value.multiArrayValue() });
            match given {
                Some(given) if Retained::as_ptr(&given) == Retained::as_ptr(&array.object) => {}
                Some(_) => return Err(refused(&array.feature, "Core ML did not use its array")),
                None => return Err(refused(&array.feature, "the model has no such output")),
            }
        }
        Ok(())
    }
}

fn provider(inputs: &[Array]) -> Result<Retained<ProtocolObject<dyn MLFeatureProvider>>, RunError> {
    // SAFETY: the array is alive, and the value keeps it so.
    let value =
        |array: &Array| unsafe { MLFeatureValue::featureValueWithMultiArray(&array.object) };
    let features = dictionary(inputs, |array| value(array).into());
    let provider = MLDictionaryFeatureProvider::alloc();
    // SAFETY: every value of the dictionary is a feature value.
    let made =
        unsafe { MLDictionaryFeatureProvider::initWithDictionary_error(provider, &features) };
    let made = made.map_err(|error| RunError::CoreMl {
        action: "giving the model its inputs",
        reason: reason(&error),
    })?;
    Ok(ProtocolObject::from_retained(made))
}

fn options(outputs: &[Array]) -> Retained<MLPredictionOptions> {
    let backings = dictionary(outputs, |array| array.object.clone().into());
    // SAFETY: every value of the dictionary is an array, which is one of the kinds
    // of backings.
    unsafe {
        let options = MLPredictionOptions::new();
        options.setOutputBackings(&backings);
        options
    }
}

/// A dictionary by the arrays' names.
fn dictionary(
    arrays: &[Array],
    value: impl Fn(&Array) -> Retained<AnyObject>,
) -> Retained<NSDictionary<NSString, AnyObject>> {
    let names: Vec<_> = arrays.iter().map(|a| NSString::from_str(&a.feature.name)).collect();
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    let values: Vec<_> = arrays.iter().map(value).collect();
    NSDictionary::from_retained_objects(&names, &values)
}
