"""Runs an artefact whose CPU is not here: under qemu-user where it is installed, else in unicorn's CPU."""

from nincc.emulate.device import DEVICES, NATIVE, QEMU, UNICORN, device_for, device_of, load

__all__ = ["DEVICES", "NATIVE", "QEMU", "UNICORN", "device_for", "device_of", "load"]
