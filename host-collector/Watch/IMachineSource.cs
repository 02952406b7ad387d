namespace VsockPair.Watch;

/// <summary>A way to machines: asked again and again which ones there are.</summary>
internal interface IMachineSource
{
    IEnumerable<MachineEndpoint> Find();
}

/// <summary>A machine that is there, as far as can be seen without connecting to it.</summary>
/// <param name="Key">What tells it from all others, of other sources as well: <see cref="MachineIdentity.Source"/>.</param>
/// <param name="Name">Of its guest, unless the configuration has another one for its UUID.</param>
/// <param name="Connect">Throws <see cref="MachineException"/>.</param>
internal sealed record MachineEndpoint(string Key, string Name, Func<CancellationToken, Task<IMachine>> Connect);
