namespace VsockPair.TestKit.Vm;

/// <summary>The Debian kernels that tests/rig/install.sh fetches.</summary>
public enum GuestKernel
{
    /// <summary>trixie: sub-buffers of any order, persistent ring, 64 KiB vsock packets.</summary>
    Linux612,

    /// <summary>bookworm: the old path, 4 KiB sub-buffers, virtio as modules.</summary>
    Linux61,
}
