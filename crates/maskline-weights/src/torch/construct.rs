//! What calls in a pickle would have made: tensors and containers where they are known, inert objects otherwise.

use super::globals;
use super::pickle::Machine;
use super::value::{Id, TensorRecord, Value};
use crate::error::{Error, Result};

/// The value that `callable(*arguments)` stands for. Nothing is called.
pub(super) fn call(machine: &mut Machine<'_>, callable: Id, arguments: Id) -> Result<Id> {
    let (callable, arguments) = unwrap_subclass(machine, callable, arguments)?;
    let items = machine.values.sequence(arguments).unwrap_or_default();
    let Some(global) = machine.values.global(callable) else {
        return call_unnamed(machine, callable);
    };
    let first = items.first().copied();
    match (global.module.as_ref(), global.name.as_ref()) {
        ("collections", "OrderedDict" | "Counter") | ("builtins" | "__builtin__", "dict") => dictionary(machine, first),
        ("collections", "defaultdict") => machine.add(Value::Dict(Vec::new())),
        // A shared copy is enough: nothing here changes once it is built.
        ("builtins" | "__builtin__", "list" | "tuple" | "set" | "frozenset") | ("torch", "Size") => match first {
            Some(items) if machine.values.sequence(items).is_some() => Ok(items),
            Some(_) => machine.add(Value::Opaque),
            None => machine.add(Value::List(Vec::new())),
        },
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            first.ok_or_else(|| Error::corrupt("a parameter without data"))
        }
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => tensor(machine, arguments),
        ("copyreg" | "copy_reg", "_reconstructor") => match first {
            Some(class) => machine.add_object(class),
            None => Err(Error::corrupt("_reconstructor without a class")),
        },
        _ if globals::is_getattr(global) => look_up(machine, callable, arguments),
        _ => machine.add_object(callable),
    }
}

/// `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)` makes a tensor that has attributes of its own.
fn unwrap_subclass(machine: &Machine<'_>, mut callable: Id, mut arguments: Id) -> Result<(Id, Id)> {
    // One wrapper is what PyTorch writes; the bound is for files that nest them for harm.
    for _ in 0..8 {
        let wraps = machine
            .values
            .global(callable)
            .is_some_and(|global| global.module == "torch._tensor" && global.name == "_rebuild_from_type_v2");
        if !wraps {
            return Ok((callable, arguments));
        }
        match machine.values.sequence(arguments) {
            Some(&[function, _type, inner, ..]) => (callable, arguments) = (function, inner),
            _ => return Err(Error::corrupt("_rebuild_from_type_v2 without its arguments")),
        }
    }
    Err(Error::limit("tensor subclasses nested too deeply"))
}

/// Calling an instance gives another inert object, but calling what `getattr` found is how attacks hide a function.
fn call_unnamed(machine: &mut Machine<'_>, callable: Id) -> Result<Id> {
    if let Value::Object(object) = machine.values.get(callable)
        && machine.values.global(object.class).is_some_and(globals::is_getattr)
    {
        return Err(globals::would_run("getattr(…)(…)"));
    }
    machine.add_object(callable)
}

/// A method of a class or module, kept as an inert object.
fn look_up(machine: &mut Machine<'_>, callable: Id, arguments: Id) -> Result<Id> {
    match machine.values.sequence(arguments) {
        Some(&[owner, name])
            if matches!(machine.values.get(owner), Value::Global(_) | Value::Object(_))
                && machine.values.str(name).is_some_and(globals::is_method_look_up) =>
        {
            machine.add_object(callable)
        }
        _ => Err(globals::would_run("builtins.getattr")),
    }
}

/// `OrderedDict()` or `OrderedDict([(key, value), ...])`.
fn dictionary(machine: &mut Machine<'_>, items: Option<Id>) -> Result<Id> {
    let items = items.and_then(|items| machine.values.sequence(items)).unwrap_or_default();
    let items = items.to_vec();
    machine.charge(items.len())?;
    let pair = |item: &Id| match machine.values.sequence(*item) {
        Some(&[key, value]) => Ok((key, value)),
        _ => Err(Error::corrupt("a dictionary entry that is no pair")),
    };
    let entries: Vec<(Id, Id)> = items.iter().map(pair).collect::<Result<_>>()?;
    machine.add(Value::Dict(entries))
}

fn tensor(machine: &mut Machine<'_>, arguments: Id) -> Result<Id> {
    let record = match machine.values.sequence(arguments) {
        Some(&[storage, offset, shape, strides, ref rest @ ..]) => {
            // `_v3` adds the element type after requires_grad and backward_hooks.
            let dtype = rest.get(2).and_then(|dtype| machine.values.global(*dtype)).map(|dtype| dtype.name.clone());
            TensorRecord { storage, offset, shape, strides, dtype }
        }
        _ => return Err(Error::corrupt("a tensor without storage, offset, shape and strides")),
    };
    machine.add(Value::Tensor(Box::new(record)))
}
