using Microsoft.Win32.SafeHandles;

namespace VsockPair.Watch;

/// <summary>A <c>virConnectPtr</c>.</summary>
internal sealed class LibvirtConnectHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle() => LibvirtLibrary.ConnectClose(handle) >= 0;
}
