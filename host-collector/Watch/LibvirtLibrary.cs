using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VsockPair.Watch;

/// <summary>
/// The functions of <c>libvirt.so.0</c> that are used here. Loaded with the first call, so never unless somebody wants libvirt. Not virsh: this reads guest memory and tells of
/// events in structures, without a process per call and without text to parse. A call that fails leaves its reason with the thread that made it.
/// </summary>
internal static unsafe partial class LibvirtLibrary
{
    public const string Name = "libvirt.so.0";

    // libvirt-domain.h, libvirt-host.h, virterror.h
    public const int VIR_DOMAIN_EVENT_ID_LIFECYCLE = 0;
    public const int VIR_DOMAIN_EVENT_ID_REBOOT = 1;
    public const int VIR_DOMAIN_EVENT_ID_WATCHDOG = 3;
    public const int VIR_DOMAIN_JOB_NONE = 0;
    public const uint VIR_CONNECT_LIST_DOMAINS_ACTIVE = 1;
    public const uint VIR_MEMORY_PHYSICAL = 2;
    public const uint VIR_DUMP_MEMORY_ONLY = 16;
    public const uint VIR_DOMAIN_CORE_DUMP_FORMAT_RAW = 0;
    public const uint VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_RAW_ZLIB = 5;
    public const int VIR_UUID_BUFLEN = 16;

    public const string Missing = $"{Name} is not installed: it is in the package libvirt0 (Debian, Ubuntu) or libvirt-libs (Red Hat family, SUSE)";

    public static bool IsInstalled => NativeLibrary.TryLoad(Name, out _);

    [LibraryImport(Name, EntryPoint = "virEventRegisterDefaultImpl")]
    internal static partial int EventRegisterDefaultImpl();

    [LibraryImport(Name, EntryPoint = "virEventRunDefaultImpl")]
    internal static partial int EventRunDefaultImpl();

    [LibraryImport(Name, EntryPoint = "virSetErrorFunc")]
    internal static partial void SetErrorFunc(nint data, delegate* unmanaged[Cdecl]<nint, nint, void> handler);

    [LibraryImport(Name, EntryPoint = "virGetLastErrorMessage")]
    internal static partial byte* GetLastErrorMessage();

    [LibraryImport(Name, EntryPoint = "virGetLastErrorCode")]
    internal static partial int GetLastErrorCode();

    [LibraryImport(Name, EntryPoint = "virConnectOpen", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial LibvirtConnectHandle ConnectOpen(string uri);

    [LibraryImport(Name, EntryPoint = "virConnectClose")]
    internal static partial int ConnectClose(nint connection);

    [LibraryImport(Name, EntryPoint = "virConnectSetKeepAlive")]
    internal static partial int ConnectSetKeepAlive(LibvirtConnectHandle connection, int interval, uint count);

    [LibraryImport(Name, EntryPoint = "virConnectRegisterCloseCallback")]
    internal static partial int ConnectRegisterCloseCallback(LibvirtConnectHandle connection, delegate* unmanaged[Cdecl]<nint, int, nint, void> callback, nint opaque, nint free);

    [LibraryImport(Name, EntryPoint = "virConnectUnregisterCloseCallback")]
    internal static partial int ConnectUnregisterCloseCallback(LibvirtConnectHandle connection, delegate* unmanaged[Cdecl]<nint, int, nint, void> callback);

    [LibraryImport(Name, EntryPoint = "virConnectDomainEventRegisterAny")]
    internal static partial int ConnectDomainEventRegisterAny(LibvirtConnectHandle connection, nint domain, int eventId, void* callback, nint opaque, nint free);

    [LibraryImport(Name, EntryPoint = "virConnectDomainEventDeregisterAny")]
    internal static partial int ConnectDomainEventDeregisterAny(LibvirtConnectHandle connection, int callbackId);

    [LibraryImport(Name, EntryPoint = "virConnectListAllDomains")]
    internal static partial int ConnectListAllDomains(LibvirtConnectHandle connection, nint** domains, uint flags);

    [LibraryImport(Name, EntryPoint = "virDomainLookupByUUID")]
    internal static partial LibvirtDomainHandle DomainLookupByUuid(LibvirtConnectHandle connection, byte* uuid);

    [LibraryImport(Name, EntryPoint = "virDomainFree")]
    internal static partial int DomainFree(nint domain);

    [LibraryImport(Name, EntryPoint = "virDomainGetName")]
    internal static partial byte* DomainGetName(nint domain);

    [LibraryImport(Name, EntryPoint = "virDomainGetUUID")]
    internal static partial int DomainGetUuid(nint domain, byte* uuid);

    [LibraryImport(Name, EntryPoint = "virDomainGetID")]
    internal static partial uint DomainGetId(LibvirtDomainHandle domain);

    [LibraryImport(Name, EntryPoint = "virDomainGetState")]
    internal static partial int DomainGetState(LibvirtDomainHandle domain, int* state, int* reason, uint flags);

    [LibraryImport(Name, EntryPoint = "virDomainGetXMLDesc")]
    internal static partial byte* DomainGetXmlDesc(LibvirtDomainHandle domain, uint flags);

    /// <returns>KiB.</returns>
    [LibraryImport(Name, EntryPoint = "virDomainGetMaxMemory")]
    internal static partial nuint DomainGetMaxMemory(LibvirtDomainHandle domain);

    [LibraryImport(Name, EntryPoint = "virDomainGetJobInfo")]
    internal static partial int DomainGetJobInfo(LibvirtDomainHandle domain, LibvirtJobInfo* info);

    [LibraryImport(Name, EntryPoint = "virDomainSuspend")]
    internal static partial int DomainSuspend(LibvirtDomainHandle domain);

    [LibraryImport(Name, EntryPoint = "virDomainResume")]
    internal static partial int DomainResume(LibvirtDomainHandle domain);

    [LibraryImport(Name, EntryPoint = "virDomainReset")]
    internal static partial int DomainReset(LibvirtDomainHandle domain, uint flags);

    [LibraryImport(Name, EntryPoint = "virDomainCoreDumpWithFormat", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int DomainCoreDumpWithFormat(LibvirtDomainHandle domain, string path, uint format, uint flags);

    [LibraryImport(Name, EntryPoint = "virDomainMemoryPeek")]
    internal static partial int DomainMemoryPeek(LibvirtDomainHandle domain, ulong start, nuint size, byte* buffer, uint flags);

    /// <summary>libvirt writes failures to standard error as well unless it is told not to.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    internal static void IgnoreError(nint _, nint _1)
    {
    }

    /// <summary>After a call that failed, and on its thread.</summary>
    public static MachineException Failure(string call) => new($"{call}: {Text(GetLastErrorMessage()) ?? "libvirt gives no reason"}");

    /// <summary>A string that stays libvirt's.</summary>
    public static string? Text(byte* text) => Marshal.PtrToStringUTF8((nint)text);
}

/// <summary><c>struct _virDomainJobInfo</c>.</summary>
internal struct LibvirtJobInfo
{
    public int Type;
    public ulong TimeElapsed;
    public ulong TimeRemaining;
    public ulong DataTotal;
    public ulong DataProcessed;
    public ulong DataRemaining;
    public ulong MemTotal;
    public ulong MemProcessed;
    public ulong MemRemaining;
    public ulong FileTotal;
    public ulong FileProcessed;
    public ulong FileRemaining;
}
