using Microsoft.Win32.SafeHandles;

namespace VsockPair.Watch;

/// <summary>A <c>virDomainPtr</c>; holds its connection as well.</summary>
internal sealed class LibvirtDomainHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle() => LibvirtLibrary.DomainFree(handle) >= 0;
}
