using VsockPair.Linux;

namespace VsockPair.Listening;

/// <summary>A listening socket, and who connects to it.</summary>
/// <param name="Guest">The one guest behind a hybrid socket; null on AF_VSOCK, where each peer has its CID.</param>
internal sealed record Listener(Fd Fd, string Text, GuestIdentity? Guest);
